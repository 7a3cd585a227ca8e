"""Where and in which precision a network predicts: cpu, cuda:N, several of them; float32, bf16, fp16 by autocast."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stylematte.errors import ConfigError

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def devices_of(asked: str) -> list[torch.device]:
    """auto (every GPU, else the CPU), cpu, cuda, cuda:N, or several with commas. Raises ConfigError."""
    if asked == "auto":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return [torch.device("cuda", index) for index in range(count)] or [torch.device("cpu")]
    return [_device(word.strip(), asked) for word in asked.split(",")]


def _device(word: str, asked: str) -> torch.device:
    kind, _, index = word.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()) or (kind == "cpu" and index):
        raise ConfigError(f"--device {asked}: expected auto, cpu, cuda, cuda:0, or several like cuda:0,cuda:1")
    if kind == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= count:
        raise ConfigError(f"--device {asked}: this machine has {count} GPUs that PyTorch can use; --device cpu works")
    return torch.device("cuda", int(index or 0))


def check_precision(precision: str, device: torch.device) -> None:
    """Raises ConfigError for what is no precision, or none of this device's."""
    if precision not in PRECISIONS:
        raise ConfigError(f"--precision {precision}: expected {', '.join(PRECISIONS)}")
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError("--precision fp16 is for GPUs: on a CPU choose bf16 or fp32")


class InPrecision(nn.Module):
    """A network whose forward pass is computed in `precision` where its parts allow (autocast); alpha is float32."""

    def __init__(self, network: nn.Module, precision: str) -> None:
        super().__init__()
        self.network, self.config, self.dtype = network, network.config, PRECISIONS[precision]

    def forward(self, image: Tensor, *trimap: Tensor) -> Tensor:
        with torch.autocast(image.device.type, dtype=self.dtype):
            return self.network(image, *trimap).float()
