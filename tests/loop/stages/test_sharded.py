"""Stages with synthesize.per_shard: the pictures and verdicts of loose files; a kill costs one shard at most."""

import json
import multiprocessing
import shutil
import signal
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from loop import sharded
from loop.config.schema import SelectConfig
from loop.config.steps import FitMatterStep, SelectStep, SynthesizeStep, read
from loop.engine.stage import Context
from loop.fitting.mixture import _pairs
from loop.pools import kept_files, read_index, write_index
from loop.stages import select, synthesize
from stylematte.data.datamodule import MatterData, Source
from stylematte.imagefile import read_rgba
from stylematte.pools.pool import open_pool
from stylematte.pools.verify import verify

OPEN = SelectConfig(max_disagreement=1, min_foreground=0, max_foreground=1, min_body=0, max_similarity=1)


def synthesized(folder: Path, run: Path, per_shard: int) -> Path:
    for name in ("out", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    step = SynthesizeStep(1, "portraits", 7, (0.5, 1.0), 2, per_shard)
    inputs = {"generator": run / "rounds/01/portraits/select_generator"}
    synthesize.run(Context(inputs, folder / "out", folder / "scratch", asdict(step), 3))
    return folder / "out"


@pytest.fixture(scope="module")
def pools(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pools")
    return synthesized(folder / "loose", tiny_run, 0), synthesized(folder / "sharded", tiny_run, 3)


def test_the_same_pictures_in_shards(pools):
    loose, sharded = pools
    assert not (sharded / "rgba").exists()
    for one, other in zip(read_index(loose), read_index(sharded), strict=True):
        assert torch.equal(read_rgba(loose / one["rgba"]), read_rgba(sharded / other["rgba"]))
        assert {**one, "rgba": None} | {"foreground": other["foreground"]} == {**other, "rgba": None}
    assert verify(open_pool(sharded), deep=True) == (7, [])


def test_select_keeps_the_same_pairs_and_a_fit_reads_them(pools, tiny_run, tmp_path):
    found = []
    for pool, per_shard in zip(pools, (0, 2), strict=True):
        (tmp_path / str(per_shard)).mkdir()
        matter = {"matter": tiny_run / "rounds/00/accept", "data": tiny_run / "rounds/00/prepare", "pool": pool}
        step = asdict(SelectStep(32, OPEN, per_shard))
        select.run(Context(matter, tmp_path / str(per_shard), tmp_path / f"scratch{per_shard}", step, 3))
        found.append(read_index(tmp_path / str(per_shard)))
    assert [row["disagreement"] for row in found[0]] == [row["disagreement"] for row in found[1]]
    assert all(row["rgba"].startswith("shards/00000") for row in found[1])
    size = read_rgba(kept_files(tmp_path / "2")[0]).shape[-1]
    batches = []
    for per_shard in (0, 2):
        rows = [{"rgba": str(file)} for file in kept_files(tmp_path / str(per_shard))]
        data = MatterData([Source("pairs", rows, 1.0)], [], size, batch=2, steps_per_epoch=1)
        batches.append(next(iter(data.train_dataloader())))
    assert torch.equal(batches[0].image, batches[1].image)


def hangs_at_the_second(*args) -> None:
    """In a process of its own: the second shard does not come before somebody kills it."""
    whole, begun = sharded.write_shard, []

    def write_shard(*args):
        begun.append(args)
        if len(begun) > 1:
            time.sleep(600)
        return whole(*args)

    sharded.write_shard = write_shard
    synthesized(*args)


def test_a_killed_synthesis_goes_on_at_its_first_missing_shard(pools, tiny_run, tmp_path):
    process = multiprocessing.get_context("fork").Process(target=hangs_at_the_second, args=(tmp_path, tiny_run, 3))
    process.start()
    while process.is_alive() and not (tmp_path / "scratch/shards/000000.jsonl").exists():
        time.sleep(0.0005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    first = (tmp_path / "scratch/shards/000000.tar").stat().st_mtime_ns
    shutil.rmtree(tmp_path / "out")
    out = synthesized(tmp_path, tiny_run, 3)
    assert (out / "shards/000000.tar").stat().st_mtime_ns == first
    assert sorted(file.name for file in (out / "shards").iterdir()) == sorted(
        file.name for file in (pools[1] / "shards").iterdir()
    )
    for file in (pools[1] / "shards").iterdir():
        assert (out / "shards" / file.name).read_bytes() == file.read_bytes()


def test_older_pairs_weigh_less_and_all_together_the_same(tiny_run, tmp_path):
    for round_, count in (("01", 2), ("02", 1)):
        (tmp_path / round_).mkdir()
        write_index(tmp_path / round_, [{"id": str(n), "rgba": f"{n}.png", "kept": True} for n in range(count)])
    inputs = {f"pairs/{round_}/cats": tmp_path / round_ for round_ in ("01", "02")}
    record = json.loads((tiny_run / "rounds/01/fit_matter/stage.json").read_text())["config"]
    ctx = Context(inputs, tmp_path, tmp_path, record, 0)
    for age, expected in ((1.0, [None, None, None]), (0.5, [0.75, 0.75, 1.5])):
        step = read(FitMatterStep, {**record, "round": 2, "pair_age": age})
        assert [row.get("confidence") for row in _pairs(ctx, step, "pairs/")["cats"]] == expected
