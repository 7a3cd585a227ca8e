"""A data set made from a generator: what is released and refused; a kill or a second rank changes nothing."""

import csv
import multiprocessing
import signal
import time
import tomllib
from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from loop.datasets.build import build_dataset
from loop.datasets.config import load_dataset_config
from loop.datasets.registry import BUILT_IN, make_generator
from stylematte.errors import ConfigError, DataError
from stylematte.imagefile import read_alpha, read_rgb, write_rgba
from stylematte.pools.pool import open_pool
from stylematte.pools.verify import verify
from stylematte.rgba_generator import RGBAGenerator
from tests.stylematte.pools.pool_files import picture

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """24 cut-outs, of which number 3 is no picture, 4 has no transparency, and 5 is 0 once more."""
    for number in range(24):
        write_rgba(tmp_path / f"cutouts/{number:02d}.png", picture(0 if number == 5 else number, 32))
    (tmp_path / "cutouts/03.png").write_bytes(b"no picture")
    write_rgba(tmp_path / "cutouts/04.png", torch.cat([picture(4, 32)[:3], torch.ones(1, 32, 32)]))
    file = tmp_path / "set.yaml"
    source = f"{{generator: directory, options: {{folder: {tmp_path / 'cutouts'}, licence: CC0-1.0}}}}"
    file.write_text(f"out: {tmp_path / 'set'}\nsource: {source}\nrefine: false\nper_shard: 4\nvalidation: 0.3\n")
    return file


def files(folder: Path) -> dict[str, bytes]:
    found = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in sorted(found.items()) if ".lock" not in name}


def test_what_is_released_and_what_is_refused(config_file):
    built = build_dataset(load_dataset_config(config_file))
    out = config_file.parent / "set"
    assert (built.pairs, built.candidates, built.refused, built.missing) == (21, 24, 2, 0)
    rows = list(csv.DictReader((out / "manifest.csv").open()))
    assert [row["id"] for row in rows] == [f"{number:02d}.png" for number in range(24) if number not in (3, 4, 5)]
    for row in rows:
        rgba = torch.cat([read_rgb(out / row["file"]), read_alpha(out / row["alpha"])])
        number = int(row["id"].removesuffix(".png"))
        assert (rgba - picture(number, 32)).abs().max() < 1 / 255
        assert row["file"].startswith(row["split"])
    reasons = {row["id"]: row["reason"] for row in open_pool(out / "pool").entries() if not row["kept"]}
    assert set(reasons) == {"03.png", "04.png"}
    assert "nothing is transparent" in reasons["04.png"]
    card = (out / "README.md").read_text()
    assert "21 pairs of foreground and alpha (portrait)" in card
    assert "| licence | CC0-1.0 |" in card
    assert (out / "sheets/train.png").is_file()


def test_fewer_are_the_first_ones_and_more_may_be_asked_for_later(config_file):
    few = build_dataset(load_dataset_config(config_file, ["count=6"]))
    assert few.pairs == 6
    assert few.candidates == 12, "shards of 4: two are not enough, for one picture is there twice"
    early = files(config_file.parent / "set")
    assert build_dataset(load_dataset_config(config_file)).pairs == 21
    late = files(config_file.parent / "set")
    assert all(late[name] == data for name, data in early.items() if name.startswith(("pool/", "train/", "val/")))
    with pytest.raises(ConfigError, match="was begun with size=None, now 64"):
        build_dataset(load_dataset_config(config_file, ["size=64"]))


def test_ranks_share_the_shards_and_the_first_one_releases(config_file):
    build_dataset(load_dataset_config(config_file))
    whole = files(config_file.parent / "set")
    config = load_dataset_config(config_file, [f"out={config_file.parent / 'shared'}"])
    assert build_dataset(config, 0, 2).missing == 5, "shards 1, 3, 5, and what comes after the first gap"
    assert build_dataset(config, 1, 2).pairs == 0
    assert build_dataset(config, 0, 2).pairs == 21
    assert files(config_file.parent / "shared") == whole


def test_shards_and_refinement_and_framing(config_file):
    words = ["form=shards", "refine=true", "size=16", "refinement.max_half_seen=1", "refinement.max_core_deficit=1"]
    built = build_dataset(load_dataset_config(config_file, words))
    out = config_file.parent / "set"
    entries = [*open_pool(out / "train").entries(), *open_pool(out / "val").entries()]
    assert len(entries) == built.pairs > 10
    assert {(row["width"], row["height"]) for row in entries} == {(16, 16)}
    assert all(row["refine"]["bodies"] == 1 for row in entries)


def test_all_refused_is_said(config_file):
    with pytest.raises(DataError, match="every candidate was refused"):
        build_dataset(load_dataset_config(config_file, ["ingest.min_foreground=0.9"]))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("count=0", "count=0: expected 1 or more"),
        ("form=zip", "form=zip: expected files or shards"),
        ("source.generator=direktory", "did you mean directory"),
        ("source.options.fodler=x", "generator directory has no option 'fodler'"),
        ("colour=red", "colour"),
        ("bits=12", "bits=12: expected 8 or 16"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_one_line(config_file, capsys, word, message):
    assert main(["build-dataset", str(config_file), word]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_generators_are_announced_as_they_are_built_in(tmp_path):
    announced = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["stylematte.generators"]
    assert announced == BUILT_IN
    assert isinstance(make_generator("composite", {"drawn": "animal"}), RGBAGenerator)
    with pytest.raises(ConfigError, match="needs the option 'folder'"):
        make_generator("directory", {})


def test_our_own_generator_by_a_run(tiny_run):
    generator = make_generator("stylemattegan", {"folder": str(tiny_run), "domain": "portraits", "psi": [0.5, 1.0]})
    three = list(generator.sample(3, 5))
    (one,) = generator.sample(1, 6)
    assert torch.allclose(one.rgba, three[1].rgba, atol=1e-5)
    assert one.seed == 6
    assert 0.5 <= one.figures["psi"] <= 1


def test_killed_anywhere_it_goes_on_to_the_same_files(config_file):
    out, context, kills = config_file.parent / "set", multiprocessing.get_context("fork"), 0
    build_dataset(load_dataset_config(config_file, [f"out={config_file.parent / 'unbroken'}"]))
    for wanted in ("pool/000001.jsonl", "pool/000004.tar", "train/fg/00000007.png", "manifest.csv"):
        process = context.Process(target=build_dataset, args=(load_dataset_config(config_file),))
        process.start()
        while process.is_alive() and not (out / wanted).exists():
            time.sleep(0.0002)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        if (out / "pool/000000.jsonl").is_file():
            found = verify(open_pool(out / "pool"), deep=True)
            assert found.entries % 4 == 0, "no half shard is part of the pool"
            assert all("left over" in line or "its writer was killed" in line for line in found.problems)
    assert kills >= 2
    build_dataset(load_dataset_config(config_file))
    assert files(out) == files(config_file.parent / "unbroken")
