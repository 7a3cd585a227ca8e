"""A training step of StyleGAN3-T with RGBA pictures on two sides: ours, and the official code's (NVlabs/stylegan3).

Both have the same weights, latents and real pictures, and the settings of the official train.py: logistic loss, R1
every 16 steps, Adam at 2.5e-3 and 2e-3, running mean of G, ADA with pixel blitting, geometry and colour. Nothing of the
official code is kept here: it is imported from a checkout. It is run as it comes, with these exceptions:
`pkg_resources` (gone from current setuptools), of which it uses one function, gets a stand-in; its training loop, which
needs a GPU, is replaced by `Official.step`; and its colour transforms, which refuse four channels, see the first three.
"""

from __future__ import annotations

import copy
import re
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from stylematte.averaging import update_ema
from stylemattegan import ops
from stylemattegan.config import GeneratorFitConfig, GeneratorNetworkConfig
from stylemattegan.training import draws
from stylemattegan.training.ema import ema_beta
from stylemattegan.training.module import GeneratorModule
from stylemattegan.training.start import Networks, build

CHANNELS = {"official": (32768, 512), "small": (8192, 128)}
"""channel_base and channel_max of both networks."""
R1_EVERY = 16
PHASES = ("G", "D", "R1", "rest")
ADA_TARGET, ADA_KIMG, R1_GAMMA = 0.6, 500.0, 1.0


class Size(NamedTuple):
    channels: str
    resolution: int
    batch: int


class Side(Protocol):
    """modules: G and D."""

    modules: tuple[nn.Module, nn.Module]

    def pictures(self, z: Tensor, update_emas: bool = False) -> Tensor: ...

    def logits(self, pictures: Tensor) -> Tensor: ...


class Trained(Side, Protocol):
    """seconds: wall and CPU seconds of each of `PHASES` in the last step. terms: its loss terms."""

    seconds: dict[str, tuple[float, float]]
    terms: dict[str, float]

    def step(self, number: int, real: Tensor, p: float) -> None:
        """Training step `number`; p: the augmentation probability."""


class Clock:
    """Adds up what phases take."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[float, float]] = dict.fromkeys(PHASES, (0.0, 0.0))

    @contextmanager
    def of(self, phase: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        before = self.taken[phase]
        self.taken[phase] = before[0] + time.perf_counter() - wall, before[1] + time.process_time() - cpu


def our_networks(size: Size) -> Networks:
    """With the weights that all sides get."""
    base, most = CHANNELS[size.channels]
    network = GeneratorNetworkConfig(512, 512, 2, base, most, d_channel_base=base, d_channel_max=most)
    return build(network, size.resolution, size.batch, seed=0)


def our_module(size: Size) -> GeneratorModule:
    """A fit with the official settings; malloc keeps big blocks from now on."""
    fit = GeneratorFitConfig(
        steps=1000,
        batch=size.batch,
        decay=0.0,
        r1_gamma=R1_GAMMA,
        r1_every=R1_EVERY,
        ema_kimg=size.batch * 10 / 32,
        ada_target=ADA_TARGET,
        ada_kimg=ADA_KIMG,
        augment_max=1.0,
    )
    return GeneratorModule(our_networks(size), fit, size.resolution, seed=0)


class OurNetworks:
    """G and D as they are built, for sampling. impl: of the ops."""

    def __init__(self, size: Size, impl: str) -> None:
        ops.set_default(impl)
        self.modules = our_networks(size)

    def pictures(self, z: Tensor, update_emas: bool = False) -> Tensor:
        return self.modules[0](z, update_emas=update_emas)

    def logits(self, pictures: Tensor) -> Tensor:
        return self.modules[1](pictures)


class Ours(OurNetworks):
    """`GeneratorModule.training_step` without Lightning's Trainer."""

    def __init__(self, size: Size, impl: str) -> None:
        ops.set_default(impl)
        self.module = our_module(size)
        self.modules = self.module.G, self.module.D
        self.seconds: dict[str, tuple[float, float]] = {}
        self.terms: dict[str, float] = {}
        adams = self.module.configure_optimizers()
        self.module.optimizers = lambda: adams  # type: ignore[method-assign, assignment]
        self.module.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign, assignment]
        self.module.log_dict = self.terms.update  # type: ignore[method-assign, assignment]
        for phase, name in {"G": "generator_step", "D": "discriminator_step", "R1": "regularize"}.items():
            setattr(self.module, name, self._timed(phase, getattr(self.module, name)))

    def _timed(self, phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            with self.clock.of(phase):
                return work(*args)

        return run

    def step(self, number: int, real: Tensor, p: float) -> None:
        self.module.step, self.module.shown, self.module.ada.p = number, number * len(real), p
        self.clock, whole = Clock(), Clock()
        with whole.of("rest"):
            self.module.training_step(real, 0)
        self.seconds = with_rest(self.clock, whole)


def with_rest(clock: Clock, whole: Clock) -> dict[str, tuple[float, float]]:
    """What the step took beside its phases is `rest`."""
    left = (whole.taken["rest"][n] - sum(taken[n] for taken in clock.taken.values()) for n in (0, 1))
    return {**clock.taken, "rest": tuple(left)}  # type: ignore[dict-item]


class Augmentation(nn.Module):
    """The official pipe for RGBA: its geometry for all channels, its colour transforms for the first three."""

    def __init__(self) -> None:
        from training.augment import AugmentPipe

        super().__init__()
        geometry = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")
        colour = ("brightness", "contrast", "lumaflip", "hue", "saturation")
        self.geometry, self.colour = (AugmentPipe(**dict.fromkeys(names, 1)) for names in (geometry, colour))

    def forward(self, pictures: Tensor) -> Tensor:
        moved = self.geometry(pictures)
        return torch.cat([self.colour(moved[:, :3]), moved[:, 3:]], 1)


def official_networks(
    resolution: int, base: int, most: int, octaves: int | None = None, **generator: Any
) -> tuple[nn.Module, nn.Module]:
    """The official G (StyleGAN3-T) and D for RGBA, once `import_from` was called.

    octaves: the finest ones in float16, on a GPU; None: the official choice. generator: more arguments of G.
    """
    from training.networks_stylegan2 import Discriminator
    from training.networks_stylegan3 import Generator

    shape = dict(img_resolution=resolution, img_channels=4, channel_base=base, channel_max=most)
    halves = {} if octaves is None else dict(num_fp16_res=octaves)
    G = Generator(z_dim=512, c_dim=0, w_dim=512, mapping_kwargs=dict(num_layers=2), **generator, **shape, **halves)
    D = Discriminator(c_dim=0, epilogue_kwargs=dict(mbstd_group_size=4), **shape, **halves)
    return G, D


class Official:
    """The official networks and losses of the checkout at `folder`, with our initial weights.

    batch_gpu: pictures at a time, their gradients added up, as its option of that name does; the parts are such that
    the groups of the minibatch standard deviation are those of the whole batch.
    """

    def __init__(self, size: Size, folder: str, batch_gpu: int = 0) -> None:
        import_from(folder)
        self.parts = size.batch // batch_gpu if batch_gpu else 1
        from torch_utils.ops import conv2d_gradfix, grid_sample_gradfix
        from training.loss import StyleGAN2Loss

        conv2d_gradfix.enabled = grid_sample_gradfix.enabled = True
        G, D = official_networks(
            size.resolution, *CHANNELS[size.channels], magnitude_ema_beta=0.5 ** (size.batch / 20000)
        )
        for theirs, ours in zip((G, D), our_networks(size), strict=True):
            theirs.load_state_dict(ours.state_dict())
        self.modules = G, D
        self.G_ema = copy.deepcopy(G).eval().requires_grad_(False)
        self.augmentation = Augmentation()
        self.loss = StyleGAN2Loss(
            device=torch.device("cpu"), G=G, D=D, augment_pipe=self.augmentation, r1_gamma=R1_GAMMA
        )
        lazy = R1_EVERY / (R1_EVERY + 1)
        self.adams = (
            torch.optim.Adam(G.parameters(), lr=2.5e-3, betas=(0.0, 0.99)),
            torch.optim.Adam(D.parameters(), lr=2e-3 * lazy, betas=(0.0, 0.99**lazy)),
        )
        self.seconds: dict[str, tuple[float, float]] = {}
        self.terms: dict[str, float] = {}
        self._signs: list[Tensor] = []
        self._reported: dict[str, list[float]] = {}
        self._listen()

    def _listen(self) -> None:
        """Hear the loss terms and signs that the official losses report."""
        from torch_utils import training_stats

        names = {"Loss/G/loss": "G/loss", "Loss/D/loss": "D/loss", "Loss/r1_penalty": "D/r1"}
        report = training_stats.report

        def heard(name: str, value: Any) -> Any:
            if name in names:
                self._reported.setdefault(names[name], []).append(float(value.detach().mean()))
            elif name == "Loss/signs/real":
                self._signs.append(value.detach().mean())
            return report(name, value)

        training_stats.report = heard

    def pictures(self, z: Tensor, update_emas: bool = False) -> Tensor:
        return self.modules[0](z, None, update_emas=update_emas)

    def logits(self, pictures: Tensor) -> Tensor:
        return self.modules[1](pictures, None)

    def step(self, number: int, real: Tensor, p: float) -> None:
        for pipe in (self.augmentation.geometry, self.augmentation.colour):
            pipe.p.fill_(p)
        clock, whole = Clock(), Clock()
        with whole.of("rest"):
            for phase, which, name in (("G", 0, "Gmain"), ("D", 1, "Dmain"), ("R1", 1, "Dreg")):
                if phase != "R1" or number % R1_EVERY == 0:
                    with clock.of(phase):
                        z = draws.normal((len(real), 512), 0, "z", phase, number)
                        self._phase(which, name, real, z, R1_EVERY if phase == "R1" else 1)
            batch = len(real)
            update_ema(self.G_ema, self.modules[0], ema_beta(batch, number * batch, batch * 10 / 32))
            if (number + 1) % 4 == 0:  # p itself is held, as on our side
                float(torch.stack(self._signs).mean().sub(ADA_TARGET).sign())
                self._signs.clear()
        self.terms = {name: sum(values) / len(values) for name, values in self._reported.items()}
        self._reported.clear()
        self.seconds = with_rest(clock, whole)

    def _phase(self, which: int, name: str, real: Tensor, z: Tensor, gain: int) -> None:
        module, adam = self.modules[which], self.adams[which]
        for other in self.modules:
            other.requires_grad_(other is module)
        adam.zero_grad(set_to_none=True)
        for part in range(self.parts):
            given = dict(real_img=real[part :: self.parts], gen_z=z[part :: self.parts], real_c=None, gen_c=None)
            self.loss.accumulate_gradients(name, gain=gain / self.parts, cur_nimg=0, **given)
        for parameter in module.parameters():
            if parameter.grad is not None:
                torch.nan_to_num_(parameter.grad, 0.0, 1e5, -1e5)
        adam.step()


def import_from(folder: str) -> None:
    """Make the official package importable."""
    if not (Path(folder) / "training" / "networks_stylegan3.py").is_file():
        raise SystemExit(f"{folder}: no training/networks_stylegan3.py; expected a checkout of NVlabs/stylegan3")
    sys.path.insert(0, folder)
    try:
        import pkg_resources  # noqa: F401
    except ImportError:
        stand_in = types.ModuleType("pkg_resources")
        stand_in.parse_version = lambda text: tuple(int(n) for n in re.findall(r"\d+", text)[:3])  # type: ignore[attr-defined]
        sys.modules["pkg_resources"] = stand_in
