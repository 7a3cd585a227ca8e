"""Files as digests: read once for each (path, size, time), told by content, and the plan asks for none itself."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from loop.config.fingerprints import CACHE, GONE, FileDigests, Fingerprints, fingerprints, folder_fingerprint
from loop.config.load import load_config
from loop.plan import plan

QUICKSTART = Path(__file__).parents[3] / "configs" / "small.yaml"
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def test_a_file_is_read_once_for_each_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, cache = tmp_path / "weights.pth", tmp_path / CACHE
    file.write_bytes(b"abc")
    digests = FileDigests(cache)
    assert digests.of(str(file)) == SHA256_OF_ABC
    digests.save()
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("the file was read again"))
    assert FileDigests(cache).of(str(file)) == SHA256_OF_ABC


def test_other_bytes_are_another_digest_and_a_touch_is_none(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"abc")
    digests = FileDigests(tmp_path / CACHE)
    before = digests.of(str(file))
    os.utime(file, (1, 1))
    assert digests.of(str(file)) == before
    file.write_bytes(b"abcd")
    assert digests.of(str(file)) != before
    file.unlink()
    assert digests.of(str(file)) == GONE
    assert digests.of(None) is None


def test_a_broken_cache_is_no_cache(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"abc")
    for text in ("", "[", "[1]", '{"x": 3}'):
        (tmp_path / CACHE).write_text(text)
        assert FileDigests(tmp_path / CACHE).of(str(file)) == SHA256_OF_ABC


def test_only_run_writes_the_cache(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"abc")
    config = load_config(QUICKSTART, [f"matter.network.backbone.weights={file}"])
    assert fingerprints(config, tmp_path).backbone == SHA256_OF_ABC
    assert not (tmp_path / CACHE).exists()
    fingerprints(config, tmp_path, keep=True)
    assert (tmp_path / CACHE).is_file()


def test_names_sizes_and_times_tell_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    before = folder_fingerprint(str(tmp_path))
    os.utime(tmp_path / "a.jpg", (1, 1))
    assert folder_fingerprint(str(tmp_path)) != before
    assert folder_fingerprint(None) == "drawn"
    assert folder_fingerprint(str(tmp_path / "none")) == GONE


def test_the_plan_reads_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(QUICKSTART, [])
    config.data.root = config.matter.network.backbone.weights = "/nowhere"
    monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("a file was opened"))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: pytest.fail("a file was looked at"))
    files = Fingerprints(data="x", backbone="y")
    one, other = plan(config, files), plan(config, replace(files, backbone="z"))
    assert [a.id for a, b in zip(one, other, strict=True) if a != b] == ["00/fit_matter"]
