"""Which networks there are, by the name in their configuration: `variant`.

    fpn       timm backbone, FPN, textbook guided filter: small, trains anywhere (what files without a name mean)
    released  the authors' network, for their weights
    detail    timm backbone (plain ViTs too), learned path to full resolution, maybe a trimap: the better one

Each has `config` (its arguments and its variant, plain types), `forward(image (N, 3, H, W)) -> alpha (N, 1, H, W)` for
any H and W, and `encode(image) -> maps`, finest first. A new one is a class with these three and a line in VARIANTS.
A class whose forward takes `trimap` too is in TAKES_TRIMAP.
"""

from __future__ import annotations

import difflib
from typing import Any

from torch import nn

from stylematte.errors import ConfigError
from stylematte.networks.detail import DetailStyleMatte
from stylematte.networks.released.network import ReleasedStyleMatte
from stylematte.networks.stylematte import StyleMatte

DEFAULT = "fpn"
VARIANTS: dict[str, type[nn.Module]] = {
    "fpn": StyleMatte,
    "released": ReleasedStyleMatte,
    "detail": DetailStyleMatte,
}
TAKES_TRIMAP = ("detail",)
OWN_ARGUMENTS = {
    "fpn": ("channels", "filter_radius", "filter_eps"),
    "released": ("channels", "filter_radius", "filter_eps"),
    "detail": ("channels", "detail_channels", "gradient_checkpointing", "channels_last"),
}
"""What a configuration says of each beside its backbone."""


def build_matter(config: dict[str, Any]) -> nn.Module:
    """The network that `config` describes: its "variant" (absent: fpn), and the arguments of that class.

    Raises ConfigError, TypeError for arguments that the variant does not have, and what the class raises.
    """
    arguments = dict(config)
    name = arguments.pop("variant", None) or DEFAULT
    if name not in VARIANTS:
        near = difflib.get_close_matches(str(name), VARIANTS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VARIANTS)}"
        raise ConfigError(f"variant {name!r}: no such network; {hint}")
    return VARIANTS[name](**arguments)
