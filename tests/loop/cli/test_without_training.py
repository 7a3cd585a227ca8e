"""What `pip install stylematte` alone can do: nothing of the extra `train` is imported, as if none were installed."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from stylematte.config import BackboneConfig, FpnConfig
from stylematte.imagefile import write_rgb
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import save_matter

ROOT = Path(__file__).parents[3]
ABSENT = ("lightning", "pytorch_lightning", "torchmetrics", "wandb", "kornia", "albumentations", "onnx", "onnxscript")
PROGRAM = f"""
import importlib.util, sys
sys.modules.update(dict.fromkeys({ABSENT}))  # an import of them raises
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {ABSENT} else found(name, *rest)
import stylematte
matter = stylematte.load("matter")
assert matter("photo.png").size == matter.cutout("photo.png").size == (40, 24)
from loop.cli.main import main
assert main(["matte", "photo.png", "-o", "mattes", "--matter", "matter", "--device", "cpu"]) == 0
assert main(["score", "mattes/photo_alpha.png", "mattes/photo_alpha.png"]) == 0
assert main(["run", "configs/quickstart.yaml"]) == 2
assert main(["export", "matter", "-o", "out", "--format", "onnx"]) == 2
"""


def test_photos_are_matted_without_the_training_packages(tmp_path: Path) -> None:
    save_matter(tmp_path / "matter", build_matter(FpnConfig(backbone=BackboneConfig("mobilenetv3_small_050"))), {})
    write_rgb(tmp_path / "photo.png", torch.rand(3, 24, 40))
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for extra in ("train", "export"):
        assert f"pip install 'stylematte[{extra}]'" in done.stderr
    assert sorted(file.name for file in (tmp_path / "mattes").iterdir()) == ["photo_alpha.png", "photo_cutout.png"]
