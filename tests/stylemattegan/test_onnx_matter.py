"""A third party's matter in an ONNX file: what it is shown, which output is read, what is refused in a line."""

from pathlib import Path

import pytest
import torch
from torch import nn

from stylematte.errors import WeightsError
from stylemattegan.enhance import EnhanceConfig, LossWeights, OnnxMatter, enhance, scene_of
from stylemattegan.inversion import code_of, random_pyramid
from stylemattegan.networks.generator import Generator

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
WEIGHTS, BIAS = (2.0, -1.0, 0.5), -0.4


def brightness_file(file: Path, shape: tuple[int | str, ...], inputs: int = 1, alpha: bool = True) -> Path:
    """sigmoid(2 R - G + B / 2 - 0.4) of a picture of this shape; its first output is the picture itself."""
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    names = [f"picture{index}" for index in range(inputs)]
    nodes = [
        make.make_node("Identity", [names[0]], ["same"]),
        make.make_node("Conv", [names[0], "weights", "bias"], ["logits"]),
        make.make_node("Sigmoid", ["logits"], ["alpha"]),
    ]
    outputs = ["same", "alpha"] if alpha else ["same"]
    graph = make.make_graph(
        nodes if alpha else nodes[:1],
        "brightness",
        [make.make_tensor_value_info(name, kind, shape) for name in names],
        [make.make_tensor_value_info(name, kind, None) for name in outputs],
        [make.make_tensor("weights", kind, (1, 3, 1, 1), WEIGHTS), make.make_tensor("bias", kind, (1,), [BIAS])],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, file)
    return file


def expected(picture: torch.Tensor) -> torch.Tensor:
    return nn.functional.conv2d(picture, torch.tensor(WEIGHTS).view(1, 3, 1, 1), torch.tensor([BIAS])).sigmoid()


def test_alpha_is_the_files_for_any_number_and_size(tmp_path: Path) -> None:
    picture = torch.rand(3, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    free = OnnxMatter(brightness_file(tmp_path / "free.onnx", ("n", 3, "h", "w")))
    assert torch.allclose(free(picture).alpha, expected(picture), atol=1e-6)
    normalised = OnnxMatter(tmp_path / "free.onnx", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    assert torch.allclose(normalised(picture).alpha, expected((picture - 0.5) / 0.25), atol=1e-5)
    # Of one size and one picture at a time: shown at that size, its alpha brought back to the picture's.
    fixed = OnnxMatter(brightness_file(tmp_path / "fixed.onnx", (1, 3, 16, 16)))
    flat = torch.rand(3, 3, 1, 1, generator=torch.Generator().manual_seed(1)).expand(3, 3, 20, 28)
    assert torch.allclose(fixed(flat).alpha, expected(flat), atol=1e-5)


def test_it_moves_pictures_without_a_gradient(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"z_dim": 8, "w_dim": 8, "img_resolution": 32, "num_layers": 6, "margin_size": 4}
    G = Generator(**sizes, channel_base=128, channel_max=8).eval().requires_grad_(False)
    code = code_of(G.mapping(torch.randn(2, 8, generator=torch.Generator().manual_seed(2))))
    matter = OnnxMatter(brightness_file(tmp_path / "matter.onnx", ("n", 3, "h", "w")))
    scene = scene_of(G, code, torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3)))
    config = EnhanceConfig(steps=5, lr=0.02, weights=LossWeights(0, 1, 0, 0))
    found = [enhance(G, code, scene, matter, random_pyramid(), config, seed=4) for _ in range(2)]
    assert torch.equal(found[0].picture, found[1].picture)  # random moves, the same for a seed
    assert not matter.differentiable
    assert (found[0].rmse <= config.max_rmse).all()
    assert (found[0].after.view <= found[0].before.view).all()


def test_what_is_no_matter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsError, match=r"broken\.onnx: cannot be read as ONNX"):
        OnnxMatter(tmp_path / "broken.onnx")
    with pytest.raises(WeightsError, match=r"two\.onnx: takes 2 inputs; expected one, a picture"):
        OnnxMatter(brightness_file(tmp_path / "two.onnx", ("n", 3, "h", "w"), inputs=2))
    colours = OnnxMatter(brightness_file(tmp_path / "colours.onnx", ("n", 3, "h", "w"), alpha=False))
    with pytest.raises(WeightsError, match=r"colours\.onnx: gives \(1, 3, 8, 8\); expected an alpha"):
        colours(torch.rand(1, 3, 8, 8))
