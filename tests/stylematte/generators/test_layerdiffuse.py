"""Layer diffusion on a tiny random pipeline made here, and the grid of its prompts."""

import json
from collections import Counter

import pytest
import torch

from stylematte.errors import ConfigError, WeightsError
from stylematte.generators.layerdiffuse import DECODER, LayerDiffuse
from stylematte.generators.prompts import AXES, prompt_at
from stylematte.rgba_generator import RGBAGenerator


def test_every_axis_is_drawn_evenly_and_the_prompt_names_its_cell():
    cells = [prompt_at({}, position) for position in range(60)]
    for axis, choices in AXES.items():
        counts = Counter(cell[axis] for _, cell in cells)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert set(counts) == set(choices)
    prompt, cell = cells[7]
    assert all(word in prompt for word in cell.values())
    assert prompt_at({"template": "a {x}", "axes": {"x": ["cat", "dog"]}, "seed": 3}, 0)[0] in ("a cat", "a dog")
    with pytest.raises(ConfigError, match="which is no axis; there are: x"):
        prompt_at({"template": "a {y}", "axes": {"x": ["cat"]}}, 0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(pipeline with a colour VAE and a decoder of transparency, the same with a VAE that has alpha)."""
    pytest.importorskip("diffusers")
    transformers = pytest.importorskip("transformers")
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel, UNet2DModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pipelines")
    (folder / "vocab.json").write_text(json.dumps({"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "a": 3}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    text = transformers.CLIPTextConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 8), layers_per_block=1, cross_attention_dim=8, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
    )  # fmt: skip
    parts = {"text_encoder": transformers.CLIPTextModel(text), "tokenizer": tokenizer, "unet": unet}
    for name, channels in (("colour", 3), ("alpha", 4)):
        blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
        vae = AutoencoderKL(3, channels, block_out_channels=(8, 8), norm_num_groups=4, sample_size=16, **blocks)
        more = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        StableDiffusionPipeline(vae=vae, scheduler=DDIMScheduler(), **parts, **more).save_pretrained(folder / name)
    decoder = UNet2DModel(16, 7, 4, block_out_channels=(8, 8), norm_num_groups=4, layers_per_block=1,
                          down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2)  # fmt: skip
    decoder.save_pretrained(folder / "colour" / DECODER)
    return folder


@pytest.mark.parametrize("name", ["colour", "alpha"])
def test_a_sample_is_a_function_of_its_position_and_prompt(saved, name):
    generator = LayerDiffuse(str(saved / name), steps=2)
    assert isinstance(generator, RGBAGenerator)
    two = list(generator.sample(2, 5, ["a", "a a"]))
    (again,) = generator.sample(1, 6, ["a a"])
    assert torch.equal(two[1].rgba, again.rgba)
    assert two[0].rgba.shape == (4, 16, 16)
    assert 0 <= float(two[0].rgba.min()) <= float(two[0].rgba.max()) <= 1
    assert not torch.equal(two[0].rgba, two[1].rgba)
    assert (two[0].prompt, two[0].seed, len(two[0].digest)) == ("a", 5, 64)


def test_without_transparency_or_weights_it_is_refused(saved, tmp_path):
    with pytest.raises(WeightsError, match=r"no pipeline; expected model_index\.json"):
        LayerDiffuse(str(tmp_path))
    opaque = tmp_path / "opaque"
    opaque.mkdir()
    for file in (saved / "colour").iterdir():
        if file.name != DECODER:
            (opaque / file.name).symlink_to(file)
    with pytest.raises(WeightsError, match="it makes opaque pictures"):
        LayerDiffuse(str(opaque))
