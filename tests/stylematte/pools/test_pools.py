"""Pools of shards: what webdataset reads, what an index says without a picture, and what a killed writer leaves."""

import json
import multiprocessing
import os
import signal
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch

from stylematte.errors import BadPicture, DataError
from stylematte.imagefile import read_rgba, write_rgba
from stylematte.pools.duplicates import groups
from stylematte.pools.place import place
from stylematte.pools.pool import open_pool
from stylematte.pools.rewrite import assigned, export_files, split_of, split_pool, without_duplicates, write_pool
from stylematte.pools.statistics import statistics
from stylematte.pools.verify import verify
from stylematte.pools.writer import Entry, rgba_entry, shard_name, shard_numbers, write_shard
from tests.stylematte.pools.pool_files import entry, picture, write

REFUSED = Entry("00007", {"kept": False, "rule": "glass", "reason": "glass-like"}, {})


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    write(str(tmp_path / "pool"), [*(entry(number) for number in range(7)), REFUSED])
    return tmp_path / "pool"


def test_webdataset_reads_the_same_pictures_and_side_cars(pool):
    webdataset = pytest.importorskip("webdataset")
    urls = [str(pool / shard_name(number)) for number in (0, 1)]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("rgba8"))
    assert [sample["__key__"] for sample in samples] == [f"{number:05d}" for number in range(7)]
    assert samples[3]["json"]["seed"] == 3
    expected = (picture(3) * 255 + 0.5).floor().permute(1, 2, 0).numpy()
    assert np.array_equal(samples[3]["png"], expected), "alpha and colour are lossless"


def test_a_member_is_read_as_if_the_shard_were_a_folder(pool):
    assert (read_rgba(pool / "000001.tar/00005.png") - picture(5)).abs().max() <= 0.5 / 255 + 1e-6
    (pool / "000001.jsonl").unlink()
    os.utime(pool / "000001.tar", (1, 1))
    assert read_rgba(pool / "000001.tar/00006.png").shape == (4, 24, 24), "a tar without an index is read by its heads"
    with pytest.raises(BadPicture, match="no such member"):
        read_rgba(pool / "000000.tar/nobody.png")
    with pytest.raises(BadPicture, match="no such file"):
        read_rgba(pool / "000000.jsonl/00001.png")


def test_sixteen_bits_stay(tmp_path):
    write_shard(place(tmp_path), shard_name(0), [rgba_entry("a", {}, picture(1), bits=16)])
    assert (read_rgba(tmp_path / "000000.tar/a.png") - picture(1)).abs().max() < 1 / 65535


def test_statistics_come_from_the_indexes_alone(pool):
    for shard in pool.glob("*.tar"):
        shard.write_bytes(b"")  # nobody looks
    found = statistics(open_pool(pool))
    assert (found["entries"], found["kept"], found["refused"], found["shards"]) == (8, 7, 1, 2)
    assert found["counts"]["size"] == {"24 x 24": 7}
    assert found["counts"]["rule"] == {"glass": 1}
    share = float(picture(0)[3].mean())
    assert found["foreground"]["50 %"] == pytest.approx(share, abs=1 / 200)


def test_verify_names_what_is_wrong(pool):
    assert verify(open_pool(pool), deep=True) == (8, [])
    data = bytearray((pool / "000000.tar").read_bytes())
    data[3000] ^= 1
    (pool / "000000.tar").write_bytes(data)
    (pool / "000001.jsonl").unlink()
    (pool / ".000002.tar.1.partial").touch()
    found = verify(open_pool(pool))
    assert found.entries == 4
    assert [line.partition(": ")[2].split(";")[0] for line in sorted(found.problems)] == [
        "left over by a writer",
        "its bytes have changed since it was written",
        "has no 000001.jsonl",
    ]
    with pytest.raises(DataError, match="no pool; expected shards"):
        open_pool(pool.parent / "nothing")


def test_a_key_twice_is_refused_in_a_shard_and_found_in_a_pool(tmp_path):
    with pytest.raises(ValueError, match="'00001' is there twice"):
        write_shard(place(tmp_path), shard_name(0), [entry(1), entry(1)])
    assert list(tmp_path.iterdir()) == []
    write(str(tmp_path), [entry(1), entry(1)], per_shard=1)
    assert verify(open_pool(tmp_path)).problems == [f"{tmp_path}: 1 keys are there more than once"]


def test_near_duplicates_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (60, 128), dtype=np.uint8)
    for one, other, differ in ((3, 40, 6), (5, 41, 7), (40, 50, 2), (8, 9, 0)):
        bits[other] = bits[one]
        bits[other, rng.choice(128, differ, replace=False)] ^= 1
    found = groups([np.packbits(row).tobytes().hex() for row in bits])
    joined = {i: int(at) for i, at in enumerate(found) if at != i}
    assert joined == {40: 3, 50: 3, 9: 8}


def test_duplicates_leave_and_the_rest_keeps_its_bytes(tmp_path):
    entries = [entry(0), entry(1), entry(2, look=0), entry(3)]
    write(str(tmp_path / "pool"), entries)
    twins, rows = without_duplicates(open_pool(tmp_path / "pool"))
    assert twins == [{"key": "00002", "of": "00000"}]
    assert write_pool(open_pool(tmp_path / "pool"), rows, place(tmp_path / "new")) == 3
    write(str(tmp_path / "direct"), [entries[0], entries[1], entries[3]])
    assert (tmp_path / "new/000000.tar").read_bytes() == (tmp_path / "direct/000000.tar").read_bytes()


def test_a_split_keeps_groups_and_duplicates_together_and_does_not_move(tmp_path):
    clips = [entry(number, group=f"clip{number // 4}") for number in range(40)]
    write(str(tmp_path / "pool"), [*clips, entry(40, look=41), entry(41, look=41)], 20)
    rows = list(assigned(open_pool(tmp_path / "pool"), 0.5))
    for clip in range(10):
        assert len({row["split"] for row in rows[4 * clip : 4 * clip + 4]}) == 1
    assert rows[40]["split"] == rows[41]["split"]
    assert split_of("clip3", 0.5) == rows[12]["split"]
    assert sum(split_of(str(number), 0.1) == "val" for number in range(2000)) == pytest.approx(200, abs=40)
    counts = split_pool(open_pool(tmp_path / "pool"), str(tmp_path / "split"), 0.5)
    assert sum(counts.values()) == 42
    assert statistics(open_pool(tmp_path / "split/train"))["entries"] == counts["train"]


def test_files_are_exported_and_those_that_are_there_are_passed_over(pool, tmp_path):
    opened = open_pool(pool)
    rows = list(export_files(opened, opened.entries(kept_only=True), tmp_path / "out"))
    assert rows[2]["file"] == "fg/00002.png"
    made = (tmp_path / "out/fg/00002.png").stat().st_mtime_ns
    list(export_files(opened, opened.entries(kept_only=True), tmp_path / "out"))
    assert (tmp_path / "out/fg/00002.png").stat().st_mtime_ns == made
    assert len(list((tmp_path / "out/alpha").iterdir())) == 7


def test_a_plain_folder_is_a_pool(tmp_path):
    write_rgba(tmp_path / "rgba/1.png", picture(1))
    assert [row["key"] for row in open_pool(tmp_path).entries()] == ["rgba_1"]
    (tmp_path / "index.jsonl").write_text(json.dumps({"id": "01/x/1", "rgba": "rgba/1.png", "kept": True}) + "\n")
    assert verify(open_pool(tmp_path)) == (1, [])
    (tmp_path / "rgba/1.png").write_bytes(b"")
    assert "0 bytes" in verify(open_pool(tmp_path)).problems[0]


def test_any_url_of_fsspec_holds_a_pool():
    url = f"memory://{uuid.uuid4().hex}/pool"
    write(url, [entry(number) for number in range(5)])
    assert verify(open_pool(url), deep=True) == (5, [])
    assert split_pool(open_pool(url), f"{url}-split", 0.5)["train"] > 0


def test_ranks_share_the_shards_without_a_gap():
    assert sorted(number for rank in range(3) for number in shard_numbers(8, rank, 3)) == list(range(8))


def _write_slowly(folder: str) -> None:
    rows = [entry(number) for number in range(12)]
    at = place(folder)
    for number in range(3):
        if f"{number:06d}.jsonl" not in at.names():
            write_shard(at, shard_name(number), _each(rows[4 * number : 4 * number + 4]))


def _each(entries):
    for one in entries:
        time.sleep(0.03)
        yield one


def test_a_writer_killed_anywhere_goes_on_to_the_same_bytes(tmp_path):
    torch.set_num_threads(1)
    _write_slowly(str(tmp_path / "unbroken"))
    context = multiprocessing.get_context("fork")
    killed = 0
    for delay in (0.06, 0.15, 0.27, 0.39):
        process = context.Process(target=_write_slowly, args=(str(tmp_path / "pool"),))
        process.start()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        whole = list((tmp_path / "pool").glob("*.jsonl")) if (tmp_path / "pool").is_dir() else []
        assert all(len(file.read_text().splitlines()) == 5 for file in whole), "no half shard is part of the pool"
    _write_slowly(str(tmp_path / "pool"))
    assert killed >= 2
    for file in sorted((tmp_path / "unbroken").iterdir()):
        assert (tmp_path / "pool" / file.name).read_bytes() == file.read_bytes()
