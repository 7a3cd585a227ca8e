"""A loop in which one domain has no alpha: masks and trimaps join the fit, photos follow, held-out pictures stay."""

import csv
import json
from pathlib import Path

import pytest

from loop.cli.main import main
from loop.config.load import load_config
from loop.fitting.mixture import domain_shares
from stylematte.data.drawn.dataset import write_manifest_folder
from stylematte.errors import ConfigError
from stylematte.imagefile import read_alpha, read_trimap
from stylematte.losses.collapse import CollapseWatch
from tests.loop.planned import planned

CONFIGS = Path(__file__).parents[3] / "configs"
TINY, WITHOUT = CONFIGS / "tiny.yaml", CONFIGS / "without-alpha.yaml"
MATTER = {"first": ("mask_share=0.25", "batch=8"), "later": ("mask_share=0.25", "roads.trimaps=1", "batch=12")}


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def metrics(run: Path, stage: str) -> dict:
    return json.loads((run / "rounds" / stage / "stage.json").read_text())["metrics"]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Per subject four alphas, three masks, three photos; one of the animals' masks becomes a row of kind trimap."""
    root = tmp_path_factory.mktemp("data")
    write_manifest_folder(root, 48, alpha=4, mask=3, none=3, backgrounds=2)
    with (root / "manifest.csv").open(newline="") as lines:
        table = list(csv.DictReader(lines))
    row = next(row for row in table if (row["subject"], row["kind"]) == ("animal", "mask"))
    row |= {"kind": "trimap", "alpha": ""}
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)
    return root


@pytest.fixture(scope="module")
def run(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    words = [f"matter.{fit}.{word}" for fit, given in MATTER.items() for word in given]
    words += [f"run.dir={folder}", f"data.root={data_root}", "matter.first.losses.closed_form=0.5"]
    words += ["data.learn_from={animals: [mask, trimap, none]}", "data.weaken=[animals]", "synthesize.count=4"]
    assert main(["run", str(TINY), *words]) == 0
    return folder


def test_it_learns_from_what_there_is(run: Path) -> None:
    counts = metrics(run, "00/prepare")["counts"]["animals"]
    assert set(counts) == {"alpha", "mask", "trimap", "none"}
    assert set(counts["alpha"]) == {"heldout"}
    assert counts["mask"]["train"] == 2 + 4 - counts["alpha"]["heldout"]
    first = metrics(run, "00/fit_matter")["sources"]
    assert set(first) == {"portraits/labelled", "portraits/mask", "animals/mask", "animals/trimap"}
    later = metrics(run, "01/fit_matter")["sources"]
    photos = {domain: metrics(run, f"01/{domain}/label")["trimaps"] for domain in ("portraits", "animals")}
    assert {name: n for name, n in later.items() if name.endswith("/unlabelled")} == {
        f"{domain}/unlabelled": count for domain, count in photos.items() if count
    }


def test_a_trimap_is_written_for_what_learns_from_one(run: Path) -> None:
    prepared = run / "rounds/00/prepare"
    for row in rows(prepared / "index.jsonl"):
        assert bool(row.get("trimap")) == (row["kind"] in ("mask", "trimap"))
        if row.get("trimap"):
            trimap, guess = read_trimap(prepared / row["trimap"]), read_alpha(prepared / row["closed_form"])
            assert (guess - trimap)[trimap != 0.5].abs().max() < 0.01
    logged = {key for row in rows(run / "rounds/00/fit_matter/metrics.jsonl") for key in row}
    assert {"loss/l1", "loss/known", "loss/ddc", "loss/ddc_excess", "loss/closed_form", "loss/total"} <= logged


def test_held_out_pictures_are_the_same_whatever_may_train(run: Path, data_root: Path, tmp_path: Path) -> None:
    words = [f"run.dir={tmp_path / 'all'}", f"data.root={data_root}", "run.rounds=0"]
    assert main(["run", str(TINY), *words, "data.learn_from={animals: []}", "data.mask_as=alpha"]) == 0
    assert metrics(tmp_path / "all", "00/fit_matter")["sources"].keys() == {"portraits/labelled"}
    ids = [
        {row["id"] for row in rows(folder / "rounds/00/prepare/index.jsonl") if row["split"] == "heldout"}
        for folder in (run, tmp_path / "all")
    ]
    assert ids[0] == ids[1]
    assert any(name.startswith("animals/") for name in ids[0])
    scored = {row["id"] for row in rows(tmp_path / "all/rounds/00/evaluate/per_picture.jsonl")}
    assert scored == ids[0]


def test_a_collapse_ends_the_fit_and_the_round_falls_back(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The later fit alone, made again with a watch that is fed a collapse."""
    monkeypatch.setattr("stylematte.losses.collapse.SETTLE", 1)
    monkeypatch.setattr("stylematte.losses.collapse.PATIENCE", 1)
    seen = iter([(0.1, 0.05), (0.4, 0.0), (0.5, 0.0), (0.6, -0.1)])
    real = CollapseWatch.update
    monkeypatch.setattr(CollapseWatch, "update", lambda self, known, excess: real(self, *next(seen)))
    before = (run / "rounds/00/accept/matter.safetensors").read_bytes()
    assert main(["run", str(run), "matter.later.lr=1e-4"]) == 0
    verdict = json.loads((run / "rounds/01/accept/verdict.json").read_text())
    assert not verdict["accepted"]
    assert "the matte collapsed at step" in verdict["reason"]
    assert "lower losses.ddc (now 2)" in verdict["reason"]
    assert (run / "rounds/01/accept/matter.safetensors").read_bytes() == before


def test_only_a_road_that_needs_labels_makes_the_fit_read_labels() -> None:
    def inputs(*words: str) -> dict[str, str]:
        found = {step.id: step for step in planned(load_config(TINY, words))}
        return {name: id_ for name, id_ in found["01/fit_matter"].inputs.items() if name.startswith("labels/")}

    assert inputs() == {}
    asked = inputs("matter.later.roads.trimaps=0.2", "matter.later.batch=8")
    assert asked == {f"labels/{domain}": f"01/{domain}/label" for domain in ("portraits", "animals")}


def test_what_a_mask_is_taken_for_does_not_wake_prepare() -> None:
    one, other = ({s.id: s for s in planned(load_config(TINY, [f"data.mask_as={how}"]))} for how in ("trimap", "alpha"))
    assert one["00/prepare"] == other["00/prepare"]
    assert one["00/fit_matter"] != other["00/fit_matter"]


def test_the_truest_pictures_take_what_the_others_leave() -> None:
    asked = {"mask": 0.2, "trimap": 0.5}
    pictures = {"labelled": 3, "mask": 9, "trimap": 40}
    assert domain_shares(pictures, asked) == pytest.approx({"labelled": 0.3, "mask": 0.2, "trimap": 0.5})
    assert domain_shares({**pictures, "mask": 0}, asked) == {"labelled": 0.5, "trimap": 0.5}
    assert domain_shares({**pictures, "labelled": 0}, asked) == {"mask": 0.5, "trimap": 0.5}
    assert domain_shares(dict.fromkeys(pictures, 0), asked) == {}


BAD = [
    (
        "data.learn_from={animals: [masks]}",
        "data.learn_from.animals: unknown kind 'masks', expected alpha, pseudo-alpha, mask, trimap, none. "
        "Did you mean: 'mask'?",
    ),
    ("data.learn_from={birds: [mask]}", "data.learn_from: 'birds' is not one of data.domains (portraits, animals)"),
    (
        "data.learn_from.animals=[]",
        "data.learn_from.animals=[]: its generator would have nothing to learn from; give it a kind (none = photos "
        "without labels), or set run.rounds=0",
    ),
    ("data.weaken=[birds]", "data.weaken: 'birds' is not one of data.domains (portraits, animals)"),
    ("data.mask_as=matte", "data.mask_as=matte: Invalid value 'matte', expected one of [trimap, alpha]"),
    (
        "matter.first.ddc.variant=scald",
        "matter.first.ddc.variant=scald: Invalid value 'scald', expected one of [ddc, scaled, hinge]",
    ),
    (
        "matter.first.shares={birds: 1}",
        "matter.first.shares: 'birds' is not one of data.domains and data.extra_subjects (portraits, animals)",
    ),
    ("matter.first.shares={animals: -1}", "matter.first.shares.animals=-1: expected 0 or more"),
    (
        "matter.first.shares={animals: 0, portraits: 0}",
        "matter.first.shares: every share is 0; one must be positive",
    ),
    ("matter.first.ddc.window=8", "matter.first.ddc.window=8: expected an odd number, 3 or more"),
    ("matter.first.ddc.neighbours=40", "matter.first.ddc.neighbours=40: expected a number from 1 to 35"),
    (
        "matter.first.losses.known=0",
        "matter.first.losses.known=0.0: expected a positive weight, else nothing keeps a matte learned from trimaps",
    ),
    (
        "matter.later.unlabelled_share=0.1",
        "matter.later.unlabelled_share=0.1: this key is gone; use matter.later.roads.trimaps, a relative weight beside "
        "roads.pairs: 1",
    ),
]


@pytest.mark.parametrize(("override", "line"), BAD)
def test_each_impossible_value_is_one_line(override: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(CONFIGS / "small.yaml", [override])
    assert str(caught.value) == line


def test_shares_must_leave_something(data_root: Path) -> None:
    words = [f"data.root={data_root}", "matter.later.mask_share=0.9"]
    with pytest.raises(ConfigError, match=r"mask_share and trimap_share add up to 1\.15: expected 1 or less"):
        load_config(WITHOUT, words)
