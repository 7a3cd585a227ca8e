"""Matters of any kind as `enhance` takes them: a function of a picture, a trimap network with a matting one, ONNX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.errors import ConfigError, WeightsError
from stylemattegan.enhance.losses import Matte, Matter


def trimap_free(alpha_of: Callable[[Tensor], Tensor]) -> Matter:
    """alpha_of: RGB (N, 3, H, W) in [0, 1] -> alpha (N, 1, H, W)."""
    return lambda picture: Matte(alpha_of(picture).clamp(0, 1))


def trimap_based(logits_of: Callable[[Tensor], Tensor], alpha_of: Callable[[Tensor, Tensor], Tensor]) -> Matter:
    """A network that gives a trimap's logits (N, 3, H, W), and one that mattes with the trimap {0, 1/2, 1} of them.

    The trimap is cut from the gradient and its known pixels are set in alpha, as in the paper's code.
    """

    def matter(picture: Tensor) -> Matte:
        logits = logits_of(picture)
        trimap = logits.detach().argmax(1, keepdim=True).to(picture.dtype) / 2
        alpha = torch.where(trimap == 0.5, alpha_of(picture, trimap).clamp(0, 1), trimap)
        return Matte(alpha, logits)

    return matter


class OnnxMatter:
    """A matter in an ONNX file: RGB (N, 3, H, W) in [0, 1] -> alpha, the first of its outputs with one channel.

    It has no gradient: `enhance` asks it by random moves. mean, std: what its input is normalised by. size: (H, W) it
    is shown, for a model of fixed size; None: the picture's own.
    """

    differentiable = False

    def __init__(
        self,
        file: Path,
        size: tuple[int, int] | None = None,
        mean: tuple[float, float, float] = (0, 0, 0),
        std: tuple[float, float, float] = (1, 1, 1),
    ) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ConfigError("ONNX matters need onnxruntime: pip install 'stylematte[export]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise WeightsError(f"{file}: cannot be read as ONNX: {' '.join(str(error).split())[:200]}") from None
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise WeightsError(f"{file}: takes {len(inputs)} inputs; expected one, a picture (N, 3, H, W)")
        self.file, self.size, self.name, self.batch = file, size, inputs[0].name, inputs[0].shape[0]
        fixed = tuple(inputs[0].shape[2:])
        if size is None and all(isinstance(side, int) for side in fixed):
            self.size = fixed
        self.mean, self.std = torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)

    def __call__(self, picture: Tensor) -> Matte:
        shown = picture.detach().cpu().float()
        if self.size is not None:
            shown = F.interpolate(shown, size=self.size, mode="bilinear", antialias=True, align_corners=False)
        shown = (shown - self.mean) / self.std
        parts = shown.split(1) if self.batch == 1 else (shown,)
        alpha = torch.cat([self._alpha(part) for part in parts])
        if alpha.shape[-2:] != picture.shape[-2:]:
            size = tuple(picture.shape[-2:])
            alpha = F.interpolate(alpha, size=size, mode="bilinear", antialias=True, align_corners=False)
        return Matte(alpha.clamp(0, 1).to(picture))

    def _alpha(self, shown: Tensor) -> Tensor:
        outputs = self.session.run(None, {self.name: shown.numpy()})
        for output in outputs:
            if output.ndim == 4 and output.shape[1] == 1:
                return torch.from_numpy(output).float()
        shapes = ", ".join(str(output.shape) for output in outputs)
        raise WeightsError(f"{self.file}: gives {shapes}; expected an alpha (N, 1, H, W)")
