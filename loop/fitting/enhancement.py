"""Enhancement wired up: a generator and its discriminator, a matter as a callable, refinement; and the files of pairs.

Each finished picture has a file of its own in `items`, written last: the same call goes on where it was stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from loop.pools import Row, write_index
from stylematte.atomic import replace_file
from stylematte.imagefile import read_rgb, write_alpha, write_rgb, write_rgba
from stylematte.networks.weights import load_matter
from stylematte.ops.foreground import estimate_foreground
from stylematte.refine.alpha import refine_alpha
from stylematte.sheets import write_sheet
from stylemattegan.enhance import (
    Critic,
    Enhanced,
    Matter,
    Scene,
    Verdict,
    enhance,
    pair_critic,
    scene_of,
    trimap_free,
    verdicts,
)
from stylemattegan.generator_folder import is_straight
from stylemattegan.inversion import Code, Perceptual, code_of, invert, random_pyramid, target
from stylemattegan.inversion.code import to_straight
from stylemattegan.inversion.targets import stacked
from stylemattegan.latent_config import EnhanceConfig, GateConfig, InvertConfig
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.weights import load_all

MOST_SHOWN = 12


def frozen_matter(network: nn.Module) -> Matter:
    """Our matter as `enhance` takes it: gradients go to the picture, none to the weights."""
    return trimap_free(network.eval().requires_grad_(False))


def refine(alpha: Tensor) -> tuple[Tensor, dict[str, Any], str | None]:
    """`stylematte.refine` as the gate takes it."""
    found = refine_alpha(alpha[0].cpu().numpy())
    figures = {name: value for name, value in vars(found.figures).items()}
    return torch.from_numpy(found.alpha)[None].to(alpha), figures, found.verdict.reason


@dataclass(frozen=True)
class Enhancer:
    """What moves pictures, and by which rules pairs are made of them."""

    generator: Generator
    matter: Matter
    perceptual: Perceptual
    critic: Critic | None = None
    straight: bool = False
    move: EnhanceConfig = field(default_factory=EnhanceConfig)
    invert: InvertConfig = field(default_factory=InvertConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    seed: int = 0

    def generated(self, z: Tensor, psi: Tensor, background: Tensor) -> tuple[Enhanced, Scene, list[Row]]:
        """Latents (N, z_dim) with psi (N,), over backgrounds (N, 3, R, R). Their codes are known."""
        with torch.no_grad():
            code = code_of(self.generator.mapping(z, psi=psi))
        scene = scene_of(self.generator, code, background, self.straight)
        return self._moved(code, scene), scene, [{} for _ in z]

    def photos(self, pictures: Tensor, alphas: Tensor | None = None) -> tuple[Enhanced, Scene, list[Row]]:
        """Photos (N, 3, H, W): cut out by the matter, inverted, moved. ValueError: the matter finds no subject.

        alphas: (N, 1, H, W), the matter's, where they are known.
        """
        if alphas is None:
            with torch.no_grad():
                alphas = self.matter(pictures).alpha.clamp(0, 1)
        cut = [torch.cat([estimate_foreground(p, a), a]) for p, a in zip(pictures, alphas, strict=True)]
        behind = torch.stack([estimate_foreground(p, 1 - a) for p, a in zip(pictures, alphas, strict=True)])
        targets, windows = zip(*(target(rgba, self.generator.img_resolution) for rgba in cut), strict=True)
        found = invert(
            self.generator, stacked(list(targets)), self.perceptual, self.invert, straight=self.straight, seed=self.seed
        )
        window = torch.tensor(windows, dtype=torch.float32, device=pictures.device)
        scene = Scene(pictures, behind, window)
        numbers = [
            {"psnr": round(psnr, 3), "reconstruction": round(far, 5), "reconstruction_limit": round(found.limit, 5)}
            for psnr, far in zip(found.psnr.tolist(), found.distance.tolist(), strict=True)
        ]
        return self._moved(found.code, scene), scene, numbers

    def _moved(self, code: Code, scene: Scene) -> Enhanced:
        options: dict[str, Any] = {"critic": self.critic, "straight": self.straight, "seed": self.seed}
        return enhance(self.generator, code, scene, self.matter, self.perceptual, self.move, **options)

    def judged(self, found: Enhanced, numbers: Sequence[Row]) -> list[Verdict]:
        """The gate's verdicts; a photo outside the generator's world is refused first."""
        result = []
        for verdict, row in zip(verdicts(found, self.move, self.gate, refine), numbers, strict=True):
            far, limit = row.get("reconstruction", 0.0), row.get("reconstruction_limit", 0.0)
            outside = f"world: outside the generator's, reconstructed at distance {far:.3f}, above {limit:.3f}"
            result.append(verdict._replace(reason=outside) if far > limit else verdict)
        return result


def enhancer_of(matter: Path, generator: Path, device: torch.device | str = "cpu", **options: Any) -> Enhancer:
    """Of a matter's folder and of one that a generator and its discriminator are in. options: fields of `Enhancer`."""
    _, D, G, _ = load_all(generator)
    return Enhancer(
        generator=G.to(device),
        matter=frozen_matter(load_matter(matter).to(device)),
        perceptual=random_pyramid(device),
        critic=pair_critic(D.to(device)),
        straight=is_straight(generator),
        **options,
    )


def finished(out: Path, row: Row) -> Row | None:
    """What was written of this very item before, if anything: its row."""
    file = _item(out, row)
    try:
        found: Row = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return found if all(found.get(key) == value for key, value in row.items()) else None


def enhance_into(
    out: Path,
    enhancer: Enhancer,
    rows: Sequence[Row],
    run: Callable[[Sequence[Row]], tuple[Enhanced, Scene, list[Row]]],
) -> list[Row]:
    """The rows of one batch with what became of them; pictures, latents and an item for each are written into `out`.

    rows: what the items are made of, {id, name, kind, ...}. Those that are there are left alone.
    """
    there = {row["id"]: finished(out, row) for row in rows}
    due = [row for row in rows if there[row["id"]] is None]
    if due:
        found, scene, numbers = run(due)
        for index, verdict in enumerate(enhancer.judged(found, numbers)):
            done = due[index] | numbers[index] | _written(out, due[index], found, scene, index, verdict)
            replace_file(_item(out, due[index]), json.dumps(done, sort_keys=True))
            there[due[index]["id"]] = done
    return [row for row in there.values() if row is not None]


def write_manifest(out: Path, rows: Sequence[Row]) -> None:
    """index.jsonl of all rows, and before_after.png: before, after, matte before, matte after, label."""
    write_index(out, rows)
    shown = sorted((row for row in rows if "before" in row), key=lambda row: (not row["kept"], row["id"]))[:MOST_SHOWN]
    keys = ("before", "rgb", "matte_before", "matte", "alpha")
    write_sheet(out / "before_after.png", [read_rgb(out / row[key]) for row in shown for key in keys], 2 * len(keys))


def _item(out: Path, row: Row) -> Path:
    return out / "items" / f"{row['name']}.json"


def _written(out: Path, row: Row, found: Enhanced, scene: Scene, index: int, verdict: Verdict) -> Row:
    name = f"{row['name']}.png"
    files = {key: f"{key}/{name}" for key in ("before", "rgb", "matte_before", "matte", "alpha", "rgba")}
    label = verdict.label.cpu()
    write_rgb(out / files["before"], scene.picture[index])
    write_rgb(out / files["rgb"], found.picture[index])
    write_alpha(out / files["matte_before"], found.plain[index])
    write_alpha(out / files["matte"], found.matte[index])
    write_alpha(out / files["alpha"], label)
    colour = to_straight(found.cutout[index : index + 1])[0, :3].cpu()
    if scene.window is not None or colour.shape[1:] != label.shape[1:]:
        colour = estimate_foreground(found.picture[index].cpu(), label)
    write_rgba(out / files["rgba"], torch.cat([colour, label]))
    code = {"w": found.code.w[index], "pose": found.code.pose[index]}
    code |= {} if found.code.offset is None else {"offset": found.code.offset[index]}
    (out / "latents").mkdir(parents=True, exist_ok=True)
    latents = f"latents/{row['name']}.safetensors"
    save_file({key: value.cpu().contiguous() for key, value in code.items()}, out / latents)
    losses = {
        when: {key: round(float(value[index]), 6) for key, value in figures._asdict().items()}
        for when, figures in (("losses_before", found.before), ("losses_after", found.after))
    }
    numbers = {"move": float(found.move[index]), "rmse": float(found.rmse[index]), "steps": int(found.steps[index])}
    rule = verdict.reason.partition(":")[0] if verdict.reason else None
    figures = {key: round(value, 5) for key, value in verdict.figures.items()}
    about = {"kept": verdict.reason is None, "reason": verdict.reason, "rule": rule, "gate": figures}
    return {**files, "latents": latents, **losses, **numbers, **about}
