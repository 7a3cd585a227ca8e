"""TensorBoard's events read back with its own reader: the rows of the record, pictures, once though a fit resumed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from loop.config.schema import Config, WandbMode
from loop.fitting.previews import Previews
from loop.tracking.fit_loggers import MIRROR, FitMirror, picture_file, stage_logger
from loop.tracking.mirror import mirror_rounds
from loop.tracking.rounds import RoundMirror
from stylematte.config import FitConfig
from stylematte.imagefile import write_rgb
from tests.loop.tracking.test_tracking import context

TRACKING = {"wandb": "disabled", "tensorboard": True}


def events(folder: Path) -> list[tuple[int, str, object]]:
    """(step, name, value or the bytes of a picture) of the one file of events."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    (file,) = folder.glob("events.out.*")
    found: list[tuple[int, str, object]] = []
    for event in loader.LegacyEventFileLoader(str(file)).Load():
        for value in event.summary.value:
            shown = value.image.encoded_image_string if value.HasField("image") else value.simple_value
            found.append((event.step, value.tag, shown))
    return found


def test_a_fit_and_what_it_shows(tmp_path: Path) -> None:
    picture = picture_file(tmp_path, "01/fit_matter", "heldout", 1)
    picture.parent.mkdir(parents=True)
    write_rgb(picture, torch.ones(3, 4, 4))
    first = FitMirror(TRACKING, tmp_path, "01/fit_matter", {})
    first.write(0, {"loss": 0.5})
    first.write(1, {"loss": 0.25, "pictures/heldout": str(picture.relative_to(tmp_path)), "heldout/SAD": 2.0})
    first.write(2, {"loss": float("nan")})
    first.finish(False)
    again = FitMirror(TRACKING, tmp_path, "01/fit_matter", {})
    again.write(2, {"loss": 0.125})
    again.finish()
    assert [row for row in events(tmp_path / "tensorboard/01/fit_matter") if row[1] != "pictures/heldout"] == [
        (0, "loss", 0.5),
        (1, "loss", 0.25),
        (1, "heldout/SAD", 2.0),
        (2, "loss", 0.125),
    ]
    assert (1, "pictures/heldout", picture.read_bytes()) in events(tmp_path / "tensorboard/01/fit_matter")
    assert not (tmp_path / "wandb").exists()


def test_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config()
    config.tracking.wandb, config.tracking.tensorboard = WandbMode.disabled, True
    mirror = RoundMirror(config, tmp_path)
    monkeypatch.setattr(mirror, "_go_on", lambda: None)
    for round_ in range(2):
        mirror.log(round_, {"hats/SAD": 0.5 / (round_ + 1)}, {"accepted": True, "reason": "fine"})
    assert mirror_rounds(tmp_path)
    found = events(tmp_path / "tensorboard/loop")
    assert [row for row in found if row[1] == "hats/SAD"] == [(0, "hats/SAD", 0.5), (1, "hats/SAD", 0.25)]
    assert (1, "accepted", 1.0) in found
    assert not any(name == "verdict" for _, name, _ in found)


def test_previews_go_to_the_mirror_alone_and_at_their_ticks(tmp_path: Path) -> None:
    ctx = context(tmp_path, "01/hats/fit_generator", "disabled")
    ctx.runtime["tracking"] |= {"previews": 3, "tensorboard": True}
    assert [logger.name for logger in stage_logger(ctx)] == ["jsonl", MIRROR]
    rows: list[tuple[int, dict[str, object]]] = []
    mirror = SimpleNamespace(name=MIRROR, log_metrics=lambda values, step: rows.append((step, values)))
    file = SimpleNamespace(name="jsonl", log_metrics=lambda values, step: pytest.fail("a preview in metrics.jsonl"))
    trainer = SimpleNamespace(loggers=[file, mirror], is_global_zero=True, current_epoch=0)
    previews = Previews(ctx, FitConfig(steps=60, tick=5), "fakes", lambda module, path: {"seen": float(path.stem[-7:])})
    for trainer.current_epoch in range(12):
        previews.on_train_epoch_end(trainer, None)
    assert [(step, values["seen"]) for step, values in rows] == [(19, 19.0), (39, 39.0), (59, 59.0)]
    assert rows[0][1]["pictures/fakes"] == "tracking/01/hats/fit_generator/fakes-0000019.png"
