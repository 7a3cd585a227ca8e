"""Photos with a trimap alone on their way into a batch: what is known stays true, and no alpha is made up."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from stylematte import distributed
from stylematte.data.augment import Augment, Chance, compose
from stylematte.data.datamodule import MatterData, Source
from stylematte.data.drawn.dataset import draw
from stylematte.data.folders import load_index, prepare, square_trimap
from stylematte.data.trimaps import TrimapOptions, teach, weaken
from stylematte.errors import DataError
from stylematte.imagefile import read_alpha, read_trimap, write_alpha, write_rgb, write_trimap
from stylematte.rgba import trimap_from_alpha
from stylematte.trimap import from_mask

SIDE = 32
LEVELS = {0.0, 0.5, 1.0}


def columns(*values: float) -> torch.Tensor:
    return torch.tensor(values).expand(1, len(values), len(values)).contiguous()


def test_a_resized_trimap_knows_only_what_was_known_of_one_kind() -> None:
    assert square_trimap(columns(0, 0, 0, 0, 1, 1, 1, 1), 8).equal(columns(0, 0, 0, 0, 1, 1, 1, 1))
    halved = square_trimap(columns(*[0.0] * 8, *[1.0] * 8), 8)[0, 4].tolist()
    assert halved == [0, 0, 0, 0.5, 0.5, 1, 1, 1]
    uneven = square_trimap(columns(*[0.0] * 7, *[1.0] * 9), 8)[0, 4].tolist()
    assert uneven[3] == 0.5
    thin = square_trimap(columns(*[0.0] * 7, 0.5, *[0.0] * 8), 8)
    assert set(thin.unique().tolist()) == {0, 0.5}
    doubled = square_trimap(columns(0, 0, 1, 1), 8)[0, 4].tolist()
    assert doubled == [0, 0, 0, 0.5, 0.5, 1, 1, 1]


def test_a_moved_trimap_says_what_the_moved_picture_says() -> None:
    """Red where foreground is known, blue where background is: the claim can be read off the picture."""
    augment = Augment()
    augment.colour = augment.camera = compose([])
    rows, across = np.mgrid[:64, :64]
    distance = np.hypot(rows - 30, across - 34)
    trimap = np.where(distance < 14, 255, np.where(distance < 20, 128, 0)).astype(np.uint8)
    image = np.stack([trimap == 255, trimap == 128, trimap == 0], axis=-1).astype(np.uint8) * 255
    plain, turned = 0, 0
    for seed in range(30):
        layers = augment.unlabelled(image, trimap, None, Chance(seed))
        moved = layers.trimap[..., 0]
        assert set(np.unique(moved)) <= LEVELS
        red, _, blue = layers.image().transpose(2, 0, 1)
        assert red[moved == 1].min() > 0.99
        assert blue[moved == 0].min() > 0.99
        certain = ((red > 0.999) & (moved != 1)) | ((blue > 0.999) & (moved != 0))
        assert certain.mean() < 0.02  # and it gives up no more than it must
        exact = np.array_equal(moved * 2, trimap // 127) or np.array_equal(moved[:, ::-1] * 2, trimap // 127)
        plain, turned = plain + exact, turned + (not exact)
    assert plain > 0
    assert turned > 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A data root: portraits with alphas; animals with two masks (one with a trimap), two trimaps and two photos."""
    root, rows = tmp_path_factory.mktemp("root"), []
    for number in range(4):
        rows.append(_picture(root, "portrait", "alpha", number))
    for number, kind in enumerate(("mask", "mask", "trimap", "trimap", "none", "none", "alpha", "alpha")):
        rows.append(_picture(root, "animal", kind, number, given=number in (1, 2, 3)))
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "alpha", "trimap", "subject", "kind"), *rows])
    return root


def _picture(root: Path, subject: str, kind: str, number: int, given: bool = False) -> tuple[str, ...]:
    drawn, name = draw(subject, number, 48), f"{subject}{number}"
    write_rgb(root / f"{name}.png", drawn.image)
    labelled = kind in ("alpha", "mask")
    if labelled:
        write_alpha(root / f"{name}_a.png", (drawn.alpha > 0.5).float() if kind == "mask" else drawn.alpha)
    if given:
        write_trimap(root / f"{name}_t.png", trimap_from_alpha(drawn.alpha[None], 2)[0])
    return f"{name}.png", f"{name}_a.png" if labelled else "", f"{name}_t.png" if given else "", subject, kind


def prepared(root: Path, out: Path) -> list[dict]:
    domains = {"portraits": "portrait", "animals": "animal"}
    prepare(root, out, SIDE, domains, heldout={"alpha": 50}, trimaps=TrimapOptions(0.05, 0.1))
    return load_index(out)


def test_prepare_writes_trimaps_of_files_and_of_masks(folder, tmp_path) -> None:
    rows = {row["source"]: row for row in prepared(folder, tmp_path / "out")}
    assert {name for name, row in rows.items() if row.get("trimap")} == {f"animal{n}.png" for n in range(4)}
    assert rows["animal2.png"]["kind"] == "trimap"
    assert rows["animal2.png"]["alpha"] is None
    for number in range(4):
        found = read_trimap(rows[f"animal{number}.png"]["trimap"])
        assert set(found.unique().tolist()) == LEVELS
        truth = square_trimap(trimap_from_alpha(draw("animal", number, 48).alpha[None], 0)[0], SIDE)
        assert ((found == 1) & (truth == 0)).sum() + ((found == 0) & (truth == 1)).sum() == 0
    made = square_trimap(from_mask(read_alpha(folder / "animal0_a.png"), 0.05, 0.1), SIDE)
    assert read_trimap(rows["animal0.png"]["trimap"]).equal(made)
    given = square_trimap(read_trimap(folder / "animal1_t.png"), SIDE)
    assert read_trimap(rows["animal1.png"]["trimap"]).equal(given)


BAD = {
    "size": (torch.full((1, 40, 48), 0.5), "is 48 x 40, its image 48 x 48"),
    "all unknown": (torch.full((1, 48, 48), 0.5), "nothing is known"),
    "grey": (torch.full((1, 48, 48), 0.3), "a trimap has 0, 128 and 255 only"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_trimap_is_left_out_by_name(folder, tmp_path, case, caplog) -> None:
    bad, says = BAD[case]
    root = tmp_path / "root"
    root.mkdir()
    for path in folder.iterdir():
        (root / path.name).write_bytes(path.read_bytes())
    write_alpha(root / "animal2_t.png", bad)
    rows = prepared(root, tmp_path / "out")
    assert "animal2.png" not in {row["source"] for row in rows}
    assert "left out animal2.png: animal2_t.png: " in caplog.text
    assert says in caplog.text
    assert not list((tmp_path / "out").rglob("*/000006.png"))


def test_an_alpha_can_be_cut_down_to_a_mask(folder, tmp_path) -> None:
    rows = prepared(folder, tmp_path / "out")
    read = [{k: v for k, v in row.items()} for row in rows if row["kind"] == "alpha" and row["domain"] == "animals"]
    assert {row["split"] for row in read} == {"train", "heldout"}
    for row in read:
        before = read_alpha(row["alpha"])
        relative = {k: str(v.relative_to(tmp_path / "out")) if isinstance(v, Path) else v for k, v in row.items()}
        weak = weaken(tmp_path / "out", relative, TrimapOptions())
        if row["split"] == "heldout":
            assert weak == relative
            assert read_alpha(row["alpha"]).equal(before)
        else:
            assert weak["kind"] == "mask"
            assert read_alpha(row["alpha"]).equal((before > 0.5).float())
            assert read_trimap(tmp_path / "out" / weak["trimap"]).equal(from_mask((before > 0.5).float()))


def data(root: Path, out: Path, workers: int = 0) -> MatterData:
    rows = prepared(root, out)
    animals = [row for row in rows if row.get("trimap")]
    for row in animals[:2]:
        row["trimap"], image = str(row["trimap"]), row["image"]
        relative = {"id": row["id"], "image": image.relative_to(out), "trimap": Path(row["trimap"]).relative_to(out)}
        teach(out, relative)
        row["closed_form"] = out / relative["closed_form"]
    portraits = [row for row in rows if row["domain"] == "portraits" and row["split"] == "train"]
    sources = [Source("portraits/labelled", portraits, 0.5), Source("animals/trimap", animals, 0.5, by_trimap=True)]
    return MatterData(sources, [], SIDE, 8, 3, workers, seed=3, new_background=1.0)


def test_batches_of_both_kinds(folder, tmp_path, monkeypatch) -> None:
    module = data(folder, tmp_path / "out")
    alone = list(module.train_dataloader())
    taught = 0
    for batch in alone:
        assert batch.known_alpha.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
        assert set(batch.trimap.unique().tolist()) <= LEVELS
        image = batch.image[4:]
        assert image.equal(batch.foreground[4:])  # never on another background: there is no alpha to put it there with
        assert image.equal(batch.background[4:])
        untaught = batch.taught[4:] == 0
        assert batch.alpha[4:][untaught].equal(batch.trimap[4:][untaught])
        guess, trimap = batch.alpha[4:][~untaught], batch.trimap[4:][~untaught]
        assert (guess - trimap)[trimap != 0.5].abs().max() < 0.01  # the teacher agrees with what is known
        taught += int((~untaught).sum())
    assert taught == 6  # half of the pictures, each seen as often
    monkeypatch.setattr(distributed, "world", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        for whole, part in zip(alone, module.train_dataloader(), strict=True):
            assert all(torch.equal(a[rank::2], b) for a, b in zip(whole, part, strict=True))


def test_a_picture_without_trimap_is_named() -> None:
    rows = [{"id": "p/1", "image": "x.png", "alpha": "a.png"}]
    with pytest.raises(DataError, match="source 'p': picture p/1 has no trimap"):
        MatterData([Source("p", rows, 1.0, by_trimap=True)], [], SIDE, 4, 3)
