"""Seconds of each step: how often its networks compute what, over the rates of the hardware, and its pictures' files.

What a generator's step computes: G forward twice and backward once, D forward three times and backward three times
(once to its input alone), and the penalties. Backward counts as two passes forward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from loop.config.schema import Config
from loop.engine.config import Launch
from loop.engine.launchers.choice import runs_apart
from loop.engine.step import Step
from loop.forecast.hardware import Hardware, cores
from loop.forecast.pictures import Pictures, pictures
from loop.forecast.work import Work, discriminator_work, generator_work, matter_work
from stylematte.config import FitConfig
from stylematte.inference.options import shown_by, sides_seen
from stylemattegan.config import CompositeDiscriminatorKind, GeneratorLoss

VIEWS, AGREEMENT_VIEWS, TRIMAP_VIEWS, ENSEMBLE_VIEWS = 5, 6, 4, 11
"""Of each photo that `label` looks at, the larger ones counted by their area; and of what roads ask for beside."""
PENALTY = 8
"""Passes forward that R1 takes, or R2."""
PATH = 8
"""That path length takes, through G."""
THREADS = 0.4
"""n CPU threads are n ** THREADS times as fast as one: a matter's step took 75 ms on two idle cores, 93 on one."""
EXCHANGE = 5e10
"""Bytes a second of gradients between devices: assumed, as of GPUs joined by NVLink."""
# Seconds a picture and a pixel, on one core of an AMD EPYC: foreground estimation, framing and PNG; PNG alone; reading;
# a held-out picture's measures and pictures; a sample of the matter's data (half of it if the device changes colours);
# reading a photo's file, keeping it, and what an alpha and a mask ask for beside: foreground estimation, a trimap.
REFINE = 1.0e-7  # seconds a pixel, beside reading and writing
CUT_OUT, WRITE, READ, SCORE, SAMPLE = (2e-3, 2.9e-7), (5e-4, 1.3e-7), (4e-4, 2.0e-8), (2e-2, 4e-7), (2e-4, 1.1e-7)
DRAW = (1.2e-2, 1.2e-6)
DECODE, KEEP, FOREGROUND = (1e-3, 1.2e-8), (5e-4, 5e-9), (2e-3, 1.2e-7)
TRIMAP, FRAME = (1e-3, 7.0e-8), (1e-3, 3.0e-8)
MODULE = 4e-5
"""Seconds a module of a matter and pass take at least: what pictures of many shapes cost, which go one by one."""
KEPT = 0.75
"""Of the photos that `label` looks at, those it cuts out where they kept their shape: half of real-small's were."""
DISTANCES = 1.0
"""Seconds that `watch` takes beside networks and files."""
START, FIRST_LOOK = 8.0, 3.0
"""Seconds until a process of its own begins its step (Python, torch, Lightning; assumed), and until a matter's fit goes
at its pace: its pictures are read for the first time."""


class StepSeconds:
    """Seconds of the steps of one configuration on one kind of hardware."""

    def __init__(self, config: Config, hardware: Hardware) -> None:
        self.config, self.hardware = config, hardware
        self.devices = max(1, config.launch.devices)

    @cached_property
    def pictures(self) -> Pictures:
        return pictures(self.config)

    @cached_property
    def matter(self) -> Work:
        return matter_work(self.config.matter.network, self.config.matter.size or self.config.data.size)

    @cached_property
    def generator(self) -> Work:
        return generator_work(self.config.generator.network, self.config.data.size)

    @cached_property
    def discriminator(self) -> Work:
        return discriminator_work(self.config.generator.network, self.config.data.size)

    def of(self, step: Step) -> float:
        """Wall seconds of one step, beside as many others as launch.at_once lets run."""
        stages: Mapping[str, Callable[[Step], float]] = {
            "prepare": self._prepare,
            "fit_matter": self._fit_matter,
            "fit_generator": self._fit_generator,
            "label": self._label,
            "select_generator": self._select_generator,
            "synthesize": self._synthesize,
            "draw_pairs": lambda step: self._files(self._drawn(step), DRAW),
            "refine_cutouts": lambda step: self._refine(self._real(step)),
            "refine_pairs": lambda step: self._refine(self._drawn(step)),
            "select": self._select,
            "enhance": self._enhance,
            "watch": self._watch,
            "evaluate": self._evaluate,
        }
        work = stages[step.stage](step) / self._speed(step) if step.stage in stages else 0.1
        launch = self.config.launch
        return work + (START if launch.kind is Launch.torchrun or runs_apart(step, launch) else 0.0)

    def _speed(self, step: Step) -> float:
        """Of a step's CPU work, against one thread. A GPU's rates are not per thread."""
        if self.hardware.gpu:
            return 1.0
        shared = self.config.launch.at_once if runs_apart(step, self.config.launch) else 1
        return float(max(1, cores() // shared) ** THREADS)

    def rivals(self, step: Step) -> int:
        """Fits that share each GPU with this one: as many devices are taken to be there as a fit has."""
        if not (self.hardware.gpu and runs_apart(step, self.config.launch)):
            return 1
        return min(self.config.launch.at_once, len(self.config.data.domains))

    def _files(self, count: float, cost: tuple[float, float], pixels: float | None = None) -> float:
        """pixels: of a picture; those of a square of data.size where nothing is said."""
        return count * (cost[0] + cost[1] * (self.config.data.size**2 if pixels is None else pixels))

    def _matte(self, count: float, pixels: float | None = None) -> float:
        """pixels: as the network sees a picture; those it learns from where nothing is said."""
        area = 1.0 if pixels is None else pixels / (self.config.matter.size or self.config.data.size) ** 2
        return count * area * self.matter.macs / self.hardware.matter_macs

    @property
    def _kept(self) -> float | None:
        """Pixels of a picture that kept its shape (data.max_side); None where all are squares."""
        return self.pictures.kept if self.config.data.max_side else None

    def _matte_photos(self, views: float, photos: float) -> float:
        """views of each of photos. Where they kept their shapes the network sees them one by one, whole and small."""
        data, matter = self.config.data, self.config.matter
        if not data.max_side:
            return self._matte(views * photos)
        side = shown_by(sides_seen(matter.size or data.size, data.max_side, matter.first.crop_share)).size or 0
        return self._matte(views * photos, float(side**2)) + views * photos * MODULE * self.matter.layers

    def _draw(self, count: float) -> float:
        work, hardware = self.generator, self.hardware
        return count * (work.macs / hardware.macs + work.values / hardware.fine)

    def _prepare(self, step: Step) -> float:
        seen, kept = self.pictures, self.pictures.kept
        if not self.config.data.all_roots():
            return self._files(seen.total, DRAW, kept)
        with_alpha = seen.masked + seen.extra + sum(seen.labelled.values()) + sum(seen.heldout.values())
        written = self._files(seen.total + with_alpha, KEEP, kept) + self._files(seen.masked, TRIMAP, seen.read)
        return self._files(seen.total, DECODE, seen.read) + written + self._files(with_alpha, FOREGROUND, kept)

    def _fit_matter(self, step: Step) -> float:
        fit = self.config.matter.later if step.round else self.config.matter.first
        each, hardware = fit.batch / self.devices, self.hardware
        pixels = (self.config.matter.size or self.config.data.size) ** 2
        compute = each * (3 * self.matter.macs / hardware.matter_macs + pixels * hardware.pixel)
        compute = max(compute, hardware.matter_step) * self.rivals(step) + self._exchange(self.matter.parameters)
        half = 0.5 if fit.photometry.value == "device" else 1.0
        return FIRST_LOOK + fit.steps * self._with_loading(compute, self._files(each, SAMPLE) * half, fit)

    def _fit_generator(self, step: Step) -> float:
        fit, hardware = self.config.generator.fit, self.hardware
        G, D, each = self.generator, self.discriminator, fit.batch / self.devices
        penalties = (2 if fit.loss is GeneratorLoss.relativistic else 1) * PENALTY / fit.r1_every
        path = PATH / (fit.path_every * fit.path_shrink) if fit.path_weight else 0.0
        d_passes = 8 + (penalties if fit.r1_gamma else 0.0)
        d_passes *= 1 if self.config.generator.composite_discriminator.kind is CompositeDiscriminatorKind.none else 2
        multiplied = (4 + path) * G.macs + d_passes * D.macs
        filtered = (3.5 + path) * G.values / hardware.fine + d_passes * D.values / hardware.maps
        compute = each * (multiplied / hardware.macs + filtered) + (4 * G.layers + d_passes * D.layers) * hardware.layer
        exchange = self._exchange(G.parameters + D.parameters)
        compute = max(compute * self.rivals(step), hardware.step) + exchange
        alone = 0 if "previous" in step.inputs or step.config["init_from"] else fit.reconstruction.steps
        of_g = 3 * (each * (G.macs / hardware.macs + G.values / hardware.fine) + G.layers * hardware.layer)
        of_g = max(of_g * self.rivals(step), hardware.step / 2) + exchange
        loading = self._files(each, READ)
        full = (fit.steps - alone) * self._with_loading(compute, loading, fit)
        return full + alone * self._with_loading(of_g, loading, fit)

    def _exchange(self, parameters: float) -> float:
        return 2 * 4 * parameters / EXCHANGE if self.devices > 1 else 0.0

    def _with_loading(self, compute: float, loading: float, fit: FitConfig) -> float:
        """A step's seconds: workers load the next batch beside it, without any it waits for its own."""
        return max(compute, loading / fit.workers) if fit.workers else compute + loading

    def _drawn(self, step: Step) -> int:
        return self.config.synthesize.count_in(step.round)

    def _label(self, step: Step) -> float:
        domain = step.domain or ""
        photos, labelled = self.pictures.photos.get(domain, 0), self.pictures.labelled.get(domain, 0)
        views = VIEWS + AGREEMENT_VIEWS * step.config["agreement"] + TRIMAP_VIEWS * step.config["trimaps"]
        views += ENSEMBLE_VIEWS * step.config["rules"]["ensemble"]
        seen = self._matte_photos(views, photos) + self._files(labelled, WRITE)
        if not self.config.data.max_side:
            return seen + self._files(photos, CUT_OUT)
        cut = KEPT * photos
        targets = self._files(3 * cut * step.config["targets"], KEEP, self._kept)
        written = self._files(cut, FRAME, self._kept) + self._files(cut, WRITE) + targets
        return seen + self._files(photos, READ, self._kept) + self._files(cut, FOREGROUND, self._kept) + written

    def _real(self, step: Step) -> int:
        """Cut-outs of a generator's training set, if `label` keeps all photos."""
        domain = step.domain or ""
        return self.pictures.photos.get(domain, 0) + self.pictures.labelled.get(domain, 0)

    def _select_generator(self, step: Step) -> float:
        fit, images = self.config.generator.fit, self.config.generator.select_images
        sampled = images * (min(fit.snapshots, fit.steps // fit.tick) + (step.round > 1))
        looked = sampled + self._real(step)
        return self._draw(sampled) + self._matte(looked) + self._files(self._real(step), READ)

    def _synthesize(self, step: Step) -> float:
        return self._draw(self._drawn(step)) + self._files(self._drawn(step), WRITE)

    def _refine(self, count: float) -> float:
        return self._files(count, READ) + self._files(count, WRITE) + count * REFINE * self.config.data.size**2

    def _select(self, step: Step) -> float:
        asked = self._drawn(step) * self.config.select.backgrounds
        return self._matte(asked) + self._files(asked, READ)

    def _enhance(self, step: Step) -> float:
        """Forward and back through G and the matter at each step; an inversion is G alone."""
        asked, config = self.config.enhance, step.config
        inverted = asked.invert.steps + asked.invert.offset_steps
        moved = asked.count * (config["generated"] + config["real"])
        passes = self._draw(5 * asked.move.steps * moved + 4 * inverted * asked.count * config["real"])
        return passes + self._matte(4 * asked.move.steps * moved) + self._files(6 * moved, WRITE)

    def _watch(self, step: Step) -> float:
        made, real = (min(count, self.config.watch.images) for count in (self._drawn(step), self._real(step)))
        return self._draw(made) + self._matte(made + real) + self._files(3 * (made + real), READ) + DISTANCES

    def _evaluate(self, step: Step) -> float:
        heldout = sum(self.pictures.heldout.values())
        return self._matte_photos(1, heldout) + self._files(heldout, SCORE, self._kept)
