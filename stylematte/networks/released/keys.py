"""Names of tensors in the released checkpoints, and where each goes in our network.

The authors' files have the names of transformers 4; transformers 5 renamed the Swin part (`renamed`). Ours keep the
pixel decoder's names, and timm's for Swin: there query, key and value are one matrix, in this order of rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stylematte.config import ReleasedConfig

Target = tuple[str, int | None]  # our name, and which third of its rows (None: all of it)

ENCODER, DECODER = "pixel_decoder.encoder.", "pixel_decoder.decoder."
BOTH = ("weight", "bias")
BLOCK = {
    "layernorm_before": "norm1",
    "attention.output.dense": "attn.proj",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
FPN = {"conv1x1.0": "lateral.0", "conv1x1.1": "lateral.1", "conv1x1.2": "lateral.2", "conv_fusion.1": "fusion.1"}
TWINS = ("fpn.smooth_conv.1.", "fpn.smooth_conv.2.")
"""The one smoothing convolution, listed again."""
IGNORED = ("relative_position_index", "pixel_decoder.encoder.swin.layernorm.")
"""Constants of the architecture, and a norm that transformers 5 added and does not use."""
RENAMED = (
    ("attention.self.query.", "attention.q_proj."),
    ("attention.self.key.", "attention.k_proj."),
    ("attention.self.value.", "attention.v_proj."),
    ("attention.self.relative_position_bias_table", "attention.relative_position_bias.relative_position_bias_table"),
    ("attention.output.dense.", "attention.o_proj."),
    ("intermediate.dense.", "mlp.fc1."),
    ("output.dense.", "mlp.fc2."),
)


def renamed(key: str) -> str:
    """A name of transformers 4 -> that of transformers 5 and later."""
    for part in ("embeddings.", "encoder."):
        if key.startswith(ENCODER + part):
            key = key.replace(ENCODER, ENCODER + "swin.", 1)
            for old, new in RENAMED:
                if old in key:
                    return key.replace(old, new)
            break
    return key


def released_keys(config: ReleasedConfig) -> dict[str, Target]:
    """Every name in a checkpoint (transformers 4), twins and ignored ones left out, and where it goes.

    Only the depths in `config` matter.
    """
    depths = config.backbone.kwargs.get("depths", [2, 2, 6, 2])
    table = _swin(depths) | _pixel_decoder(config.encoder_layers)
    for theirs, ours in FPN.items():
        table |= {f"fpn.{theirs}.{kind}": (f"fpn.{ours}.{kind}", None) for kind in BOTH}
    table["fpn.conv_fusion.0.weight"] = ("fpn.fusion.0.weight", None)
    for kind in ("running_mean", "running_var", "num_batches_tracked"):
        table[f"fpn.conv_fusion.1.{kind}"] = (f"fpn.fusion.1.{kind}", None)
    for kind in BOTH:
        table[f"fpn.smooth_conv.0.{kind}"] = (f"fpn.smooth.{kind}", None)
        table[f"conv.{kind}"] = (f"head.{kind}", None)
    return table


def _swin(depths: list[int]) -> dict[str, Target]:
    pairs: dict[str, Target] = {}

    def both(theirs: str, ours: str, third: int | None = None) -> None:
        pairs.update({f"{ENCODER}{theirs}.{kind}": (f"backbone.{ours}.{kind}", third) for kind in BOTH})

    both("embeddings.patch_embeddings.projection", "swin.patch_embed.proj")
    both("embeddings.norm", "swin.patch_embed.norm")
    for stage, depth in enumerate(depths):
        both(f"hidden_states_norms.stage{stage + 1}", f"norms.{stage}")
        if stage:
            theirs, ours = f"encoder.layers.{stage - 1}.downsample", f"swin.layers.{stage}.downsample"
            both(f"{theirs}.norm", f"{ours}.norm")
            pairs[f"{ENCODER}{theirs}.reduction.weight"] = (f"backbone.{ours}.reduction.weight", None)
        for block in range(depth):
            theirs, ours = f"encoder.layers.{stage}.blocks.{block}", f"swin.layers.{stage}.blocks.{block}"
            for name, our_name in BLOCK.items():
                both(f"{theirs}.{name}", f"{ours}.{our_name}")
            for third, name in enumerate(("query", "key", "value")):
                both(f"{theirs}.attention.self.{name}", f"{ours}.attn.qkv", third)
            table = "relative_position_bias_table"
            pairs[f"{ENCODER}{theirs}.attention.self.{table}"] = (f"backbone.{ours}.attn.{table}", None)
    return pairs


def _pixel_decoder(layers: int) -> dict[str, Target]:
    names = ["level_embed", "adapter_1.0.weight", "layer_1.0.weight"]
    modules = [f"input_projections.{level}.{part}" for level in range(3) for part in range(2)]
    modules += ["adapter_1.1", "layer_1.1", "mask_projection"]
    for layer in range(layers):
        inside = ("sampling_offsets", "attention_weights", "value_proj", "output_proj")
        parts = [*(f"self_attn.{name}" for name in inside), "self_attn_layer_norm", "fc1", "fc2", "final_layer_norm"]
        modules += [f"encoder.layers.{layer}.{part}" for part in parts]
    names += [f"{module}.{kind}" for module in modules for kind in BOTH]
    return {f"{DECODER}{name}": (f"pixel_decoder.{name}", None) for name in names}


def to_ours(state: dict[str, Tensor], table: dict[str, Target]) -> dict[str, Tensor]:
    """A complete checkpoint with transformers 4 names -> our state dict."""
    ours: dict[str, list[Tensor]] = {}
    for theirs, (name, _) in table.items():  # query, key, value come in this order
        ours.setdefault(name, []).append(state[theirs])
    return {name: parts[0] if len(parts) == 1 else torch.cat(parts) for name, parts in ours.items()}


def to_released(state: dict[str, Tensor], table: dict[str, Target]) -> dict[str, Tensor]:
    """Our state dict -> the names of transformers 4, twins included: what `to_ours` undoes."""
    theirs = {
        key: state[name] if third is None else state[name].chunk(3)[third].clone()
        for key, (name, third) in table.items()
    }
    twins = {twin + kind: theirs[f"fpn.smooth_conv.0.{kind}"] for twin in TWINS for kind in BOTH}
    return theirs | twins
