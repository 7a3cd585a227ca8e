"""The generator `layerdiffuse`: RGBA by latent diffusion, through diffusers and weights that are on this disk.

The optional extra `layerdiffuse` (diffusers, transformers). Nothing is ever downloaded: the folder is a pipeline saved
by `save_pretrained`, loaded with local_files_only. Transparency comes from one of two places: a VAE whose decoder has
four output channels (colour, then alpha), or a `transparent_decoder/` in the folder, a diffusers UNet2DModel that is
given decoded colour and the latent resized to it, and gives alpha first, then straight colour, the channel order of
LayerDiffuse (Zhang and Agrawala 2024). LayerDiffuse's own checkpoint files are not read: they must be converted first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.errors import ConfigError, WeightsError
from stylematte.generators.prompts import prompt_at
from stylematte.rgba_generator import RGBASample, Unusable
from stylematte.sampling import generator_at

DECODER = "transparent_decoder"
NEGATIVE = "cropped head, extra limbs, text, watermark, checkerboard, background"


class LayerDiffuse:
    """folder: of the pipeline. steps, guidance: of its sampler. size: (height, width), null = the pipeline's own."""

    name = "layerdiffuse"

    def __init__(
        self,
        folder: str,
        licence: str = "creativeml-openrail-m",
        steps: int = 25,
        guidance: float = 7.0,
        size: Sequence[int] | None = None,
        negative: str = NEGATIVE,
        device: str = "cpu",
    ) -> None:
        diffusers = _diffusers()
        self.folder, self.licence = Path(folder).expanduser(), licence
        self.steps, self.guidance, self.negative = steps, guidance, negative
        if not (self.folder / "model_index.json").is_file():
            raise WeightsError(f"{folder}: no pipeline; expected model_index.json, as save_pretrained writes it")
        try:
            self.pipeline = diffusers.DiffusionPipeline.from_pretrained(str(self.folder), local_files_only=True)
            at = self.folder / DECODER
            self.decoder = None
            if at.is_dir():
                self.decoder = diffusers.UNet2DModel.from_pretrained(str(at), local_files_only=True).to(device).eval()
        except (OSError, ValueError) as error:
            raise WeightsError(f"{folder}: cannot be loaded ({' '.join(str(error).split())})") from None
        self.pipeline.to(device)
        self.pipeline.set_progress_bar_config(disable=True)
        if self.decoder is None and self.pipeline.vae.config.out_channels != 4:
            raise WeightsError(f"{folder}: its VAE has no alpha, and there is no {DECODER}/: it makes opaque pictures")
        self.shape = {} if size is None else {"height": int(size[0]), "width": int(size[1])}
        self.digest = _digest(self.folder)

    @property
    def count(self) -> int | None:
        return None

    def grid(self, grid: Mapping[str, Any], position: int) -> tuple[str, dict[str, str]]:
        """The prompt of a position, and its cell."""
        return prompt_at(grid, position)

    def sample(self, n: int, seed: int = 0, prompts: Sequence[str] | None = None) -> Iterator[RGBASample | Unusable]:
        if prompts is not None and len(prompts) < n:
            raise ConfigError(f"generator layerdiffuse: {n} samples but {len(prompts)} prompts")
        for index, position in enumerate(range(seed, seed + n)):
            prompt = prompts[index] if prompts is not None else prompt_at({}, position)[0]
            rgba = self._draw(prompt, position)
            said = {"premultiplied": False}
            figures = {"steps": self.steps, "guidance": self.guidance}
            made = (rgba, f"{position:08d}", position, prompt, self.folder.name, self.digest, self.licence)
            yield RGBASample(*made, hints=said, figures=figures)

    @torch.no_grad()
    def _draw(self, prompt: str, position: int) -> Tensor:
        """(4, H, W) straight RGBA in [0, 1]; the noise is a function of the position."""
        latents = self.pipeline(
            prompt,
            negative_prompt=self.negative,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            generator=generator_at("layerdiffuse", position),
            output_type="latent",
            **self.shape,
        ).images
        decoded = self.pipeline.vae.decode(latents / self.pipeline.vae.config.scaling_factor).sample
        if self.decoder is None:
            return ((decoded[0] + 1) / 2).clamp(0, 1).float().cpu()
        resized = F.interpolate(latents, decoded.shape[-2:], mode="nearest")
        out = self.decoder(torch.cat([decoded, resized], 1), 0).sample[0]
        alpha_first = ((out + 1) / 2).clamp(0, 1).float().cpu()
        return torch.cat([alpha_first[1:4], alpha_first[:1]])


def _diffusers() -> Any:
    try:
        import diffusers
        import transformers  # noqa: F401 - the pipelines' text encoders
    except ImportError:
        raise ConfigError("generator layerdiffuse needs the extra: pip install 'stylematte[layerdiffuse]'") from None
    return diffusers


def _digest(folder: Path) -> str:
    """SHA-256 of all weights of the pipeline, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted([*folder.rglob("*.safetensors"), *folder.rglob("*.bin")]):
        with file.open("rb") as data:
            digest.update(hashlib.file_digest(data, "sha256").digest())
    return digest.hexdigest()
