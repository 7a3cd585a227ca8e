"""ONNX and .pt2 files: PyTorch's alpha at sizes that were not traced, metadata, and nothing left when wrong."""

import json

import numpy as np
import pytest
import torch

from stylematte import export
from stylematte.config import BackboneConfig, DetailConfig, FpnConfig, ReleasedConfig
from stylematte.errors import ConfigError, UserError
from stylematte.export_program import AnySize
from stylematte.networks.released.swin import window_attention
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import save_matter
from stylematte.networks.windows import attend, windows_by_index

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
@pytest.mark.parametrize("variant", SMALL)
def test_pt2_is_pytorch_at_any_size(variant, tmp_path):
    """Sizes of multiples of nothing and of everything, one picture and several; the traced ones were 2 of 75 x 101."""
    network, file = small(variant), tmp_path / "matter.pt2"
    assert export.export_pt2(network, file, "tiny") <= 1e-5
    run, said = said_by(file)
    assert said["size"] == "any H, W from 32 to 16384; padding is inside"
    for count, size in enumerate(((33, 50), (64, 224), (130, 65)), start=1):
        image = torch.rand(count, 3, *size)
        with torch.no_grad():
            assert (run(image) - network(image)).abs().max() <= 1e-5


@pytest.mark.slow
def test_pt2_with_a_trimap_in_bfloat16(tmp_path):
    network, file = small("detail"), tmp_path / "matter.pt2"
    assert 1e-5 < export.export_pt2(network, file, "tiny", trimap=True, precision="bf16") <= 2e-2
    run, said = said_by(file)
    assert said["weights"] == "bfloat16"
    assert {w.dtype for w in run.state_dict().values() if w.ndim == 4} == {torch.bfloat16}  # of convolutions
    image, known = torch.rand(2, 3, 40, 70), torch.zeros(2, 1, 40, 70)
    known[..., 20:] = 1
    with torch.no_grad():
        found, expected = run(image, known), network(image, known)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() <= 2e-2


@pytest.mark.slow
def test_pt2_at_its_size(tmp_path):
    network = mobile()
    file = tmp_path / "matter.pt2"
    assert export.export_pt2(network, file, "tiny", (64, 96)) <= 1e-3
    assert said_by(file)[1]["size"] == "64 x 96 only"


@pytest.mark.slow
def test_a_backbone_that_no_graph_follows_gets_one_size(tmp_path, monkeypatch, caplog):
    def refuses(*given):
        raise RuntimeError("data-dependent\nand more")

    network, matter = mobile(), tmp_path / "matter"
    save_matter(matter, network, {"size": 64})
    monkeypatch.setattr(export, "to_program", refuses)
    made = export.export_file(matter, tmp_path / "out", "pt2")
    assert made.sizes == "64 x 64 only"
    assert "torch.export cannot follow the backbone: data-dependent" in caplog.text
    with pytest.raises(UserError, match="cannot follow this network: data-dependent"):
        export.export_file(saved_detail(tmp_path), tmp_path / "new", "pt2", trimap=True)
    assert not (tmp_path / "new").exists()


def saved_detail(folder):
    save_matter(folder / "detail", small("detail"), {"size": 64})
    return folder / "detail"


@pytest.mark.parametrize("variant", ["fpn", "released"])
@pytest.mark.parametrize("size", [(33, 50), (57, 224)])
def test_windows_by_index_are_the_windows(variant, size):
    """What an export follows is what the network does, padding and rolled windows too."""
    network, image = small(variant), torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = network(image)
        with windows_by_index(network):
            assert (AnySize(network)(image) - expected).abs().max() <= 1e-5
        assert torch.equal(network(image), expected)


def test_the_released_windows_are_padded_first():
    swin = small("released").backbone.swin
    block = swin.layers[1].blocks[1]
    assert max(block.shift_size) > 0
    x = torch.randn(2, 9, 12, block.dim)
    with torch.no_grad():
        padded, rolled = (attend(block, x, padded_first=first) for first in (True, False))
        assert (padded - window_attention(block, x)).abs().max() <= 1e-6
        assert (rolled - block._attn(x)).abs().max() <= 1e-6
    assert (padded - rolled).abs().max() > 1e-3


@pytest.mark.parametrize("variant", ["fpn", *(pytest.param(v, marks=pytest.mark.slow) for v in ("detail", "released"))])
def test_onnx_in_half_keeps_what_must_be_float32(variant, tmp_path):
    network, file = small(variant), tmp_path / "matter.onnx"
    assert 0 < export.export_onnx(network, file, "tiny", precision="fp16") <= export.HALF_TOLERANCE
    graph = onnx.load(file).graph
    assert {each.type.tensor_type.elem_type for each in (*graph.input, *graph.output)} == {onnx.TensorProto.FLOAT}
    kinds = [w.data_type for w in graph.initializer if np.prod(w.dims) > 64 and w.data_type != onnx.TensorProto.INT64]
    assert kinds.count(onnx.TensorProto.FLOAT16) > 0.9 * len(kinds)


def test_precisions_that_a_format_has_not(tmp_path):
    with pytest.raises(ConfigError, match="bf16 is for --format pt2, fp16 for --format onnx"):
        export.export_file(tmp_path, tmp_path / "out", "onnx", precision="bf16")


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
