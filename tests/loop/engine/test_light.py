"""What answers at once must not import torch: `--help`, `plan`, `status`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAVY = ["torch", "lightning", "timm", "albumentations", "numpy", "cv2", "wandb"]


@pytest.mark.parametrize("words", [["--help"], ["plan", "configs/quickstart.yaml"], ["run", "--help"]])
def test_no_heavy_import(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from loop.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_the_packages_themselves_are_light() -> None:
    code = f"import sys, stylematte, stylemattegan, loop; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
