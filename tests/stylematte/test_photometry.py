"""Colour and camera on the device that trains: closed forms, I = alpha F + (1 - alpha) B, numbers by position."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import albumentations as A
import cv2
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor

from stylematte.config import BackboneConfig, FpnConfig, MatterFitConfig, MatterLossConfig
from stylematte.data import photometry
from stylematte.data.augment import CAMERA, COLOUR
from stylematte.data.datamodule import MatterData, MatterDataset, Source
from stylematte.data.photometry import Photometry, apply, draw
from stylematte.imagefile import write_alpha, write_rgb, write_trimap
from stylematte.module import MatterModule
from stylematte.rgba import MattingBatch, composite, trimap_from_alpha
from stylematte.sampling import Draw, generator_at

SIDE = 48


def smooth(*position: int | str, count: int = 4, channels: int = 3) -> Tensor:
    """Soft random pictures in [0, 1]."""
    coarse = torch.rand(count, channels, 6, 6, generator=generator_at(*position))
    return torch.nn.functional.interpolate(coarse, SIDE, mode="bicubic").clamp(0, 1)


def soft_batch(count: int = 4) -> MattingBatch:
    """The last sample has a trimap alone: F = B = I."""
    front, back = smooth("front", count=count), smooth("back", count=count)
    front[-1] = back[-1]
    alpha = torch.linspace(-1, 2, SIDE).clamp(0, 1).expand(count, 1, SIDE, SIDE).contiguous()
    trimap, one = trimap_from_alpha(alpha, 1), torch.ones(count)
    image = back + alpha * (front - back)
    known = one.clone()
    known[-1] = 0
    nothing, all_of_it = torch.full_like(trimap, 0.5), torch.ones(count, 1, 1, 1)
    return MattingBatch(image, alpha, front, back, trimap, one, known, 0 * one, nothing, all_of_it)


def alike(count: int = 4, **values: float) -> Photometry:
    """The same for all samples; what is not given leaves them as they are."""
    numbers = {**dict.fromkeys(Photometry._fields, 0.0), "contrast": 1.0, **values}
    drawn = {key: torch.full((count,), value) for key, value in numbers.items()}
    return Photometry(**{**drawn, "seed": torch.zeros(count, dtype=torch.int64)})


def test_unchanged_is_the_same_bits() -> None:
    batch = soft_batch()
    assert all(torch.equal(a, b) for a, b in zip(apply(batch, alike()), batch, strict=True))
    with pytest.raises(ValueError, match="photometry of 3 samples for a batch of 4"):
        apply(batch, alike(3))


def test_rows_left_alone_keep_their_bits_beside_rows_that_change() -> None:
    batch, drawn = soft_batch(), alike(brightness=0.1, hue=0.2, saturation=0.05, blur=0.7, noise=0.02, quality=60.0)
    only = Photometry(*(torch.where(torch.arange(4) == 1, a, b) for a, b in zip(drawn, alike(), strict=True)))
    found, whole = apply(batch, only), apply(batch, drawn)
    for name in ("image", "foreground", "background"):
        before, after = getattr(batch, name), getattr(found, name)
        assert torch.equal(after[[0, 2, 3]], before[[0, 2, 3]])
        torch.testing.assert_close(after[1], getattr(whole, name)[1])
        assert not torch.equal(after[1], before[1])


def test_light_on_grey_and_colour_on_known_colours() -> None:
    grey = torch.full((3, 3, 8, 8), 0.5)
    lit = photometry.adjust_light(grey, torch.tensor([1.0, 1.2, 1.2]), torch.tensor([0.1, 0.0, 0.6]))
    for picture, expected in zip(lit, (0.6, 0.6, 1.0), strict=True):  # x + .1, 1.2 x, clipped
        torch.testing.assert_close(picture, torch.full_like(picture, expected))
    colours = torch.tensor([[1.0, 0, 0], [0.8, 0.4, 0.4], [0.3, 0.3, 0.3]])[..., None, None].expand(3, 3, 2, 2)
    turned = photometry.shift_hsv(colours, torch.full((3,), 2 * torch.pi / 3), torch.zeros(3), torch.zeros(3))
    torch.testing.assert_close(turned[:, :, 0, 0], torch.tensor([[0, 1.0, 0], [0.4, 0.8, 0.4], [0.3, 0.3, 0.3]]))
    richer = photometry.shift_hsv(colours, torch.zeros(3), torch.full((3,), 0.25), torch.full((3,), 0.1))
    # saturation 1/2 -> 3/4 and value .8 -> .9: the least channel is .9 / 4; grey has no hue to show
    torch.testing.assert_close(richer[1, :, 0, 0], torch.tensor([0.9, 0.225, 0.225]))
    torch.testing.assert_close(richer[2, :, 0, 0], torch.full((3,), 0.4))
    picture = smooth("hue")
    same = photometry.shift_hsv(picture, *torch.zeros(3, 4))
    torch.testing.assert_close(same, picture, atol=2e-6, rtol=0)


def test_each_step_is_what_albumentations_does_on_the_cpu() -> None:
    """Light and blur to rounding, hue to the 8 bits of OpenCV's (2 degrees of hue). JPEG is compared with OpenCV's:
    albumentations gives that one red for blue."""
    pictures = smooth("cpu", count=1)
    array = pictures[0].permute(1, 2, 0).numpy()

    def cpu(transform: A.BasicTransform) -> Tensor:
        return torch.from_numpy(transform(image=array)["image"].clip(0, 1)).permute(2, 0, 1)[None]

    one = torch.ones(1)
    light = A.RandomBrightnessContrast(brightness_limit=(0.15, 0.15), contrast_limit=(-0.1, -0.1), p=1)
    torch.testing.assert_close(photometry.adjust_light(pictures, 0.9 * one, 0.15 * one), cpu(light))
    sigma = A.GaussianBlur(blur_limit=0, sigma_limit=(0.7, 0.7), p=1)
    torch.testing.assert_close(photometry.blur(pictures, 0.7 * one), cpu(sigma), atol=2e-6, rtol=0)
    hue = A.HueSaturationValue(hue_shift_limit=(6, 6), sat_shift_limit=(20, 20), val_shift_limit=(-8, -8), p=1)
    found = photometry.shift_hsv(pictures, torch.pi / 15 * one, 20 / 255 * one, -8 / 255 * one)
    assert (found - cpu(hue)).abs().mean() < 1.5 / 255 < 5 / 255 < (pictures - cpu(hue)).abs().mean()
    as_bgr = (array[..., ::-1] * 255).round().astype(np.uint8)
    coded = cv2.imdecode(cv2.imencode(".jpg", as_bgr, (cv2.IMWRITE_JPEG_QUALITY, 50))[1], cv2.IMREAD_COLOR)
    coded = torch.from_numpy(coded[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    found = photometry.jpeg_codec_differentiable(pictures, 50 * one).clamp(0, 1)
    assert (found - coded).square().mean() < 0.25 * (pictures - coded).square().mean()


def test_nothing_waits_for_the_cpu_or_mixes_with_it() -> None:
    """The meta device holds no values: what asks for one, or meets a tensor of the CPU, raises."""
    drawn = alike(contrast=0.9, hue=0.2, blur=0.7, quality=60.0)
    found = apply(MattingBatch(*(value.to("meta") for value in soft_batch())), drawn)
    assert found.image.device.type == "meta"
    assert found.image.shape == (4, 3, SIDE, SIDE)


def test_noise_is_its_seeds() -> None:
    grey, seeds = torch.full((3, 3, 64, 64), 0.5), torch.tensor([7, 8, 7])
    noisy = photometry.add_noise(grey, torch.tensor([0.02, 0.02, 0.01]), seeds) - grey
    deviations = noisy.flatten(1).std(dim=1)  # 12288 values: 0.6 % off at one standard error
    torch.testing.assert_close(deviations, torch.tensor([0.02, 0.02, 0.01]), rtol=0.03, atol=0)
    torch.testing.assert_close(noisy[0], 2 * noisy[2])
    assert abs(float((noisy[0] * noisy[1]).mean())) < 0.05 * 0.02**2


def test_the_compositing_equation_holds_after_everything() -> None:
    batch, drawn = soft_batch(64), draw(0, 3, 64)
    found = apply(batch, drawn)
    torch.testing.assert_close(found.image, composite(found.foreground, found.alpha, found.background))
    for picture in (found.image, found.foreground, found.background):
        assert (picture >= 0).all()
        assert (picture <= 1).all()
    assert torch.equal(found.image[-1], found.foreground[-1])  # a trimap alone
    assert torch.equal(found.image[-1], found.background[-1])
    assert all(torch.equal(getattr(found, name), getattr(batch, name)) for name in ("alpha", "trimap", "trimap_input"))
    touched = (found.image != batch.image).flatten(1).any(1)
    expected = torch.stack([drawn.brightness, drawn.hue, drawn.blur, drawn.noise, drawn.quality]).any(0)
    assert torch.equal(touched, expected)


def test_what_is_drawn_has_the_ranges_and_probabilities_of_the_cpu() -> None:
    drawn, table = draw(1, 0, 20_000), dict([*COLOUR, *CAMERA])
    columns = {
        "contrast": (drawn.contrast - 1, "RandomBrightnessContrast", -0.2, 0.2),
        "brightness": (drawn.brightness, "RandomBrightnessContrast", -0.2, 0.2),
        "hue": (drawn.hue * 90 / torch.pi, "HueSaturationValue", -8, 8),
        "saturation": (drawn.saturation * 255, "HueSaturationValue", -25, 25),
        "value": (drawn.value * 255, "HueSaturationValue", -10, 10),
        "blur": (drawn.blur, "GaussianBlur", 0.2, 0.8),
        "noise": (drawn.noise, "GaussNoise", 0.005, 0.03),
        "quality": (drawn.quality, "ImageCompression", 50, 95),
    }
    for name, (values, transform, low, high) in columns.items():
        there = values[values != 0]
        assert abs(len(there) / 20_000 - table[transform]["p"]) < 0.015, name  # four standard errors
        assert low - 1e-5 <= there.min() < low + 0.03 * (high - low), name
        assert high - 0.03 * (high - low) < there.max() <= high + 1e-5, name
    assert set(drawn.quality.unique().tolist()) == {0, *range(50, 96)}
    assert torch.equal(drawn.contrast != 1, drawn.brightness != 0)  # they come together
    on = torch.stack(
        [column[0] != 0 for name, column in columns.items() if name in ("hue", "blur", "noise", "quality")]
    )
    assert np.abs(np.corrcoef(on.numpy()) - np.eye(4)).max() < 0.03  # the others do not


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    folder: Path = tmp_path_factory.mktemp("pictures")
    ramp = torch.linspace(-1, 2, SIDE).clamp(0, 1).expand(1, SIDE, SIDE)
    write_rgb(folder / "image.png", smooth("picture", count=1)[0])
    write_alpha(folder / "alpha.png", ramp)
    write_trimap(folder / "trimap.png", trimap_from_alpha(ramp[None], 2)[0])
    row = {name: folder / f"{name}.png" for name in ("image", "alpha", "trimap")}
    return [Source("labelled", [row], 0.5), Source("trimap", [row], 0.5, by_trimap=True)]


def test_the_loader_leaves_out_colour_and_camera_and_nothing_else(sources: list[Source]) -> None:
    """Geometry is drawn first, so that it is the same with and without; half of the samples then differ in colour."""
    draws = [Draw(number % 2, 0, seed) for seed in range(20) for number in range(2)]
    cpu, bare = (MatterDataset(sources, [], SIDE, 0.5, photometric=there)[draws] for there in (True, False))
    for name in ("alpha", "trimap", "trimap_input", "weight", "known_alpha"):
        assert torch.equal(getattr(cpu, name), getattr(bare, name)), name
    same = (cpu.image == bare.image).flatten(1).all(1)
    assert 2 <= int(same.sum()) <= 20  # (1 - .5) (1 - .4) (1 - .15) (1 - .25)^2 = 14 % of them
    torch.testing.assert_close(bare.image, composite(bare.foreground, bare.alpha, bare.background))


def matter_data(sources: list[Source], on_device: bool = True) -> MatterData:
    return MatterData(sources, [], SIDE, batch=4, steps_per_epoch=2, seed=3, photometry_on_device=on_device)


def batches(data: MatterData) -> list[MattingBatch]:
    """What the loader gives at steps 0 to 3."""
    found, loader = [], data.train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        found += list(loader)
    return found


class Watcher(pl.LightningModule):
    """Keeps the batches that a network would see."""

    def __init__(self) -> None:
        super().__init__()
        self.factor, self.seen = torch.nn.Parameter(torch.ones(())), []

    def training_step(self, batch: MattingBatch, _: int) -> Tensor:
        self.seen.append(batch)
        return self.factor * batch.image.mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(module: Any, data: MatterData, folder: Path, epochs: int = 2, resume: Path | None = None) -> Any:
    saving = pl.callbacks.ModelCheckpoint(folder, save_last=True, save_on_train_epoch_end=True)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, callbacks=[saving], default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=data, ckpt_path=resume)
    return module


def test_a_fit_sees_what_its_position_says_and_a_resumed_one_sees_the_same(
    sources: list[Source], tmp_path: Path
) -> None:
    unbroken = fit(Watcher(), matter_data(sources), tmp_path / "a").seen
    fit(Watcher(), matter_data(sources), tmp_path / "b", epochs=1)
    torch.rand(17)  # history of the global generator must not matter
    resumed = fit(Watcher(), matter_data(sources), tmp_path / "b", resume=tmp_path / "b" / "last.ckpt").seen
    assert (len(unbroken), len(resumed)) == (4, 2)
    for found, expected in zip(resumed, unbroken[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    for step, (found, bare) in enumerate(zip(unbroken, batches(matter_data(sources)), strict=True)):
        assert torch.equal(found.image, apply(bare, draw(3, step, 4)).image)
        assert not torch.equal(found.image, bare.image)


def test_on_the_cpu_batches_pass_as_they_are(sources: list[Source], tmp_path: Path) -> None:
    data = matter_data(sources, on_device=False)
    for found, loaded in zip(fit(Watcher(), data, tmp_path).seen, batches(data), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(found, loaded, strict=True))


@pytest.mark.parametrize("strengths", [(1.0, 1.0), (1.0, 3.0)])
def test_two_processes_see_what_one_sees(
    sources: list[Source], strengths: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [source._replace(strength=value) for source, value in zip(sources, strengths, strict=True)]

    def seen(rank: int, world: int) -> list[MattingBatch]:
        monkeypatch.setattr("stylematte.distributed.rank", lambda: rank)
        monkeypatch.setattr("stylematte.distributed.world", lambda: world)
        data, found = matter_data(sources), []
        for step, batch in enumerate(batches(data)):
            data.trainer = SimpleNamespace(global_step=step)
            found.append(data.on_after_batch_transfer(batch, 0))
        return found

    for one, *halves in zip(seen(0, 1), seen(0, 2), seen(1, 2), strict=True):
        for rank, half in enumerate(halves):
            for whole, part in zip(one, half, strict=True):
                torch.testing.assert_close(part, whole[rank::2])


def test_a_matter_learns_from_such_batches(sources: list[Source], tmp_path: Path) -> None:
    losses = MatterLossConfig.only(l1=1.0, composition=1.0, known=1.0)
    options = MatterFitConfig(steps=4, lr=1e-2, warmup=1, ema=0.9, losses=losses)
    module = MatterModule(FpnConfig(backbone=BackboneConfig("resnet10t"), channels=8), options, seed=5)
    before = module.ema.fpn.head.weight.clone()
    fit(module, matter_data(sources), tmp_path, epochs=1)
    assert not torch.equal(module.ema.fpn.head.weight, before)
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())
