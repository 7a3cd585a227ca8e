"""ONNX and .pt2 files: PyTorch's alpha at sizes that were not traced, metadata, and nothing left when wrong."""

import json

import numpy as np
import pytest
import torch

from stylematte import export
from stylematte.config import BackboneConfig, DetailConfig, FpnConfig, ReleasedConfig
from stylematte.errors import ConfigError, UserError
from stylematte.networks.variants import build_matter

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.usefixtures("unchecked")
SWIN = BackboneConfig(kwargs={"embed_dim": 16, "depths": [1, 2, 1, 1], "num_heads": [1, 1, 2, 2]})
MOBILE = BackboneConfig("mobilenetv3_small_050")
SMALL = {
    "fpn": FpnConfig(backbone=SWIN, channels=8),
    "released": ReleasedConfig(backbone=SWIN, channels=64, encoder_layers=1, feedforward=32),
    "detail": DetailConfig(backbone=SWIN, channels=8, detail_channels=4),
}


def small(variant):
    torch.manual_seed(0)
    return build_matter(SMALL[variant]).eval()


def mobile():
    torch.manual_seed(0)
    return build_matter(FpnConfig(backbone=MOBILE, channels=8)).eval()


@pytest.mark.parametrize("variant", SMALL)
def test_onnx_is_pytorch_at_any_size(variant, tmp_path):
    """At sizes below, above, of multiples of nothing and of everything; the traced one was 75 x 101."""
    network = small(variant)
    file = tmp_path / "matter.onnx"
    assert export.export_onnx(network, file, "tiny", "nobody's") <= 1e-3
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for count, size in enumerate(((33, 50), (64, 224), (130, 65)), start=1):
        image = torch.rand(count, 3, *size)
        with torch.no_grad():
            expected = network(image).numpy()
        assert np.abs(session.run(None, {"image": image.numpy()})[0] - expected).max() <= 1e-3
    said = session.get_modelmeta().custom_metadata_map
    assert said["name"] == "tiny"
    assert said["variant"] == variant
    assert said["licence"] == "nobody's"
    assert "[0, 1]" in said["input"]
    assert onnx.load(file).opset_import[0].version == export.OPSET
    assert [f.name for f in tmp_path.iterdir()] == ["matter.onnx"]


def test_a_trimap_is_a_second_input(tmp_path):
    network, file = small("detail"), tmp_path / "matter.onnx"
    assert export.export_onnx(network, file, "tiny", trimap=True) <= 1e-3
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    image, known = torch.rand(2, 3, 40, 70), torch.zeros(2, 1, 40, 70)
    known[..., 20:] = 1
    with torch.no_grad():
        expected, blind = network(image, known).numpy(), network(image).numpy()
    found = session.run(None, {"image": image.numpy(), "trimap": known.numpy()})[0]
    assert np.abs(found - expected).max() <= 1e-3
    found = session.run(None, {"image": image.numpy(), "trimap": np.full_like(known, 0.5)})[0]
    assert np.abs(found - blind).max() <= 1e-3
    assert "trimap, float32" in session.get_modelmeta().custom_metadata_map["input"]


def test_half_halves_the_weights(tmp_path):
    network = mobile()
    full, half = tmp_path / "full.onnx", tmp_path / "half.onnx"
    export.export_onnx(network, full, "tiny")
    assert export.export_onnx(network, half, "tiny", half=True) <= export.HALF_TOLERANCE
    counts = [
        sum(np.prod(w.dims) for w in onnx.load(f).graph.initializer if w.data_type == kind and np.prod(w.dims) > 1)
        for f in (full, half)
        for kind in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    ]
    assert counts == [counts[0], 0, 0, counts[0]]


def said_by(file):
    said = {"stylematte.json": ""}
    program = torch.export.load(file, extra_files=said)
    return program.module(), json.loads(said["stylematte.json"])


@pytest.mark.slow
@pytest.mark.parametrize("options", [FpnConfig, DetailConfig])
def test_pt2_at_any_multiple(options, tmp_path):
    torch.manual_seed(0)
    network = build_matter(options(backbone=MOBILE, channels=8)).eval()
    assert export.fixed_size(network, 100) is None
    file = tmp_path / "matter.pt2"
    assert export.export_pt2(network, file, "tiny") <= 1e-3
    run, said = said_by(file)
    assert said["size"] == "multiples of 32 from 64 to 8192; pad before, cut after"
    for size in ((64, 224), (192, 96)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            assert (run(image) - network(image)).abs().max() <= 1e-3


def test_attention_wants_one_size():
    assert export.fixed_size(small("detail"), 100) == (100, 100)


@pytest.mark.slow
def test_pt2_at_its_size(tmp_path):
    network = small("detail")
    file = tmp_path / "matter.pt2"
    assert export.export_pt2(network, file, "tiny", (64, 96)) <= 1e-3
    assert said_by(file)[1]["size"] == "64 x 96 only"


def test_a_file_that_differs_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    network = mobile()
    with pytest.raises(UserError, match="alpha differs by"):
        export.export_onnx(network, tmp_path / "matter.onnx", "tiny")
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named_with_the_cure(monkeypatch):
    monkeypatch.setattr(export, "NEEDS", ("onnx", "no_such_runtime"))
    with pytest.raises(ConfigError, match=r"needs no_such_runtime: pip install 'stylematte\[export\]'"):
        export.check_packages()
