"""All roads from unlabelled photos to the matter in one tiny run: what `label` writes, and what the fit learns from."""

import json
from pathlib import Path

import pytest

from loop.cli.main import main
from loop.config.load import load_config
from loop.config.steps import FitMatterStep, read
from loop.engine.stage import Context
from loop.fitting import trainer
from loop.fitting.mixture import matter_sources
from loop.stages import fit_matter, label
from stylematte.errors import ConfigError
from stylematte.imagefile import read_alpha, read_rgb, read_rgba
from stylematte.inference.predict import predict_agreement, predict_with_confidence
from stylematte.networks.weights import load_matter
from tests.loop.planned import planned

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"
DOMAINS = ("portraits", "animals")
OPEN = (
    *(f"matter.later.roads.{road}=1" for road in ("photos", "cutouts", "pairs", "trimaps")),
    *("matter.later.batch=16", "matter.later.placement=labelled", "matter.later.hard_background=0.3"),
)


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    assert main(["run", str(TINY), f"run.dir={folder}", *OPEN]) == 0
    return folder


def sources_of(run: Path, *words: str) -> dict:
    """The sources that the first round's fit has under these words, by name."""
    step = next(s for s in planned(load_config(TINY, [f"run.dir={run}", *words])) if s.id == "01/fit_matter")
    inputs = {name: run / "rounds" / id_ for name, id_ in step.inputs.items()}
    ctx = Context(inputs, run, run, step.config, step.seed, step.id, {})
    return {source.name: source for source in matter_sources(ctx, read(FitMatterStep, step.config))}


def test_label_writes_alphas_as_the_accepted_matter_sees_them(run: Path) -> None:
    prepared, network = run / "rounds/00/prepare", load_matter(run / "rounds/00/accept")
    photos = {row["id"]: row for row in rows(prepared)}
    for domain in DOMAINS:
        folder = run / "rounds/01" / domain / "label"
        written = [row for row in rows(folder) if "alpha" in row]
        assert written == [row for row in rows(folder) if row["kind"] == "none" and row["kept"]]
        assert len(written) == json.loads((folder / "stage.json").read_text())["metrics"]["targets"] > 0
        for row in written:
            image = read_rgb(prepared / photos[row["id"]]["image"])[None]
            alpha, confidence = predict_with_confidence(network, image)
            assert (read_alpha(folder / row["alpha"]) - alpha[0]).abs().max() < 0.003  # 8 bits
            agreement = predict_agreement(network, image)[0]
            assert (read_alpha(folder / row["agreement"]) - agreement).abs().max() < 0.003
            assert row["confidence"] == pytest.approx(confidence.item(), abs=1e-4)
            assert read_rgb(folder / row["colour"]).shape == image[0].shape


def test_what_does_not_fill_its_frame_is_for_the_roads_alone(run: Path, tmp_path: Path) -> None:
    """The smaller half of the cut-outs, the labelled ones' among them, leave the generator's pool and nothing else."""
    before = run / "rounds/01/portraits/label"
    fills = {row["id"]: read_rgba(before / row["rgba"])[3].mean().item() for row in rows(before) if row["kept"]}
    least = sorted(fills.values())[len(fills) // 2]
    words = [f"run.dir={run}", *OPEN, f"label.min_fill={least - 1e-6}"]
    step = next(s for s in planned(load_config(TINY, words)) if s.id == "01/portraits/label")
    inputs = {name: run / "rounds" / id_ for name, id_ in step.inputs.items()}
    found = label.run(Context(inputs, tmp_path, tmp_path, step.config, step.seed, step.id, {}))
    now = {row["id"]: row for row in rows(tmp_path)}
    assert {id_ for id_, row in now.items() if row["kept"]} == {id_ for id_, fill in fills.items() if fill >= least}
    assert found["too_small"] == len(fills) // 2 == len(fills) - found["pool"]
    for row in rows(before):
        unchanged = {key: value for key, value in row.items() if key not in ("kept", "reason")}
        assert unchanged == {key: now[row["id"]][key] for key in unchanged}
        assert now[row["id"]]["kept"] == (tmp_path / row["rgba"]).exists()
        if "alpha" in row:
            assert (tmp_path / row["alpha"]).read_bytes() == (before / row["alpha"]).read_bytes()


def test_every_road_has_its_sources(run: Path) -> None:
    found = sources_of(run, *OPEN)
    photos = {domain: sum("alpha" in row for row in rows(run / f"rounds/01/{domain}/label")) for domain in DOMAINS}
    for domain in DOMAINS:
        taught, cutouts, pairs = (found[f"{domain}/{name}"] for name in ("photos", "cutouts", "generated"))
        assert len(taught.rows) == len(cutouts.rows) == photos[domain]
        assert (taught.new_background, taught.strength, len(taught.placed_as)) == (0.0, 2.0, 0)
        assert all(row["confidence"] > 0 and Path(row["agreement"]).is_file() for row in taught.rows)
        assert (cutouts.new_background, cutouts.strength) == (1.0, 1.0)
        assert not any("agreement" in row or "confidence" in row for row in cutouts.rows)
        assert len(cutouts.placed_as) == len(pairs.placed_as) == 8
        assert all(Path(row["alpha"]).is_file() and row["split"] == "train" for row in pairs.placed_as)
    assert sum(source.share for source in found.values()) == pytest.approx(1)
    assert sum(s.share for name, s in found.items() if name.endswith("/labelled")) >= 0.5 - 1e-9


def test_labelled_pictures_may_be_placed_as_each_other(run: Path) -> None:
    found = sources_of(run, "matter.later.placement=everywhere", "matter.later.real_weight=1")
    for domain in DOMAINS:
        assert found[f"{domain}/labelled"].placed_as == found[f"{domain}/labelled"].rows
    placed = sources_of(run, "matter.later.placement=labelled")
    assert not any(source.placed_as for name, source in placed.items() if name.endswith("/labelled"))
    assert all(source.placed_as for name, source in placed.items() if name.endswith("/generated"))


def test_at_real_weight_1_no_road_is_open(run: Path) -> None:
    assert set(sources_of(run, *OPEN, "matter.later.real_weight=1")) == {f"{domain}/labelled" for domain in DOMAINS}


def test_by_default_pairs_stand_anywhere_and_nothing_else_joins(run: Path) -> None:
    found = sources_of(run)
    assert {name.split("/")[1] for name in found} == {"labelled", "generated"}
    assert not any(source.placed_as or source.strength != 1 for source in found.values())


def fit_again(run: Path, out: Path, *words: str) -> bytes:
    """The first round's fit alone, under these words, into `out`; its weights."""
    (out / "out").mkdir(parents=True, exist_ok=True)
    (out / "scratch").mkdir(exist_ok=True)
    step = next(s for s in planned(load_config(TINY, [f"run.dir={run}", *words])) if s.id == "01/fit_matter")
    inputs = {name: run / "rounds" / id_ for name, id_ in step.inputs.items()}
    fit_matter.run(Context(inputs, out / "out", out / "scratch", step.config, step.seed, step.id, {}))
    return (out / "out/matter.safetensors").read_bytes()


def test_a_resumed_fit_equals_the_unbroken_one(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(trainer.signals, "stop_requested", lambda: True)
        with pytest.raises(trainer.Stopped, match="stopped at step 2 of 4"):
            fit_again(run, tmp_path, *OPEN)
    assert fit_again(run, tmp_path, *OPEN) == (run / "rounds/01/fit_matter/matter.safetensors").read_bytes()


def test_a_fresh_start_forgets_the_accepted_matter(run: Path, tmp_path: Path) -> None:
    words = *OPEN, "matter.later.lr=1e-9", "matter.later.weight_decay=0", "matter.later.ema=0"
    accepted, fresh = tmp_path / "accepted", tmp_path / "fresh"
    fit_again(run, accepted, *words)
    fit_again(run, fresh, *words, "matter.later.start=fresh")
    before, kept, new = (
        load_matter(folder).state_dict() for folder in (run / "rounds/00/accept", accepted / "out", fresh / "out")
    )
    weights = [name for name, tensor in before.items() if tensor.ndim > 1 and tensor.is_floating_point()]
    assert max((before[name] - kept[name]).abs().max() for name in weights) < 1e-6
    assert max((before[name] - new[name]).abs().max() for name in weights) > 0.01


def test_a_batch_must_hold_every_road() -> None:
    with pytest.raises(ConfigError, match=r"matter.later.batch=8: expected 10 or more, at least one for each source"):
        load_config(TINY, [*OPEN, "matter.later.batch=8"])
    with pytest.raises(ConfigError, match=r"matter.later.roads.photos=-1.0: expected 0 or more"):
        load_config(TINY, ["matter.later.roads.photos=-1"])


def test_a_domain_has_the_share_of_a_batch_that_it_is_given(run: Path) -> None:
    """Masks and labelled pictures of a domain share what it is given; generated ones are not touched."""
    usual, found = (sources_of(run, *OPEN, *words) for words in ((), ("matter.later.shares={animals: 0.25}",)))
    real = {name: sum(source.share for key, source in found.items() if key == f"{name}/labelled") for name in DOMAINS}
    assert real["animals"] == pytest.approx(real["portraits"] / 4)
    both = [sum(sources[f"{name}/labelled"].share for name in DOMAINS) for sources in (usual, found)]
    assert both[0] == pytest.approx(both[1])
    pairs = [sources["animals/generated"].share for sources in (usual, found)]
    assert pairs[0] == pairs[1]
