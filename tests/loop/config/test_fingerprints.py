"""Files as digests: read once for each (path, size, time), told by content, and the plan asks for none itself."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from loop.config.fingerprints import GONE, Fingerprints, fingerprints, folder_fingerprint
from loop.config.load import load_config
from loop.engine.digest_cache import CACHE, DigestCache
from loop.plan import plan

QUICKSTART = Path(__file__).parents[3] / "configs" / "small.yaml"
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run/rounds").mkdir(parents=True)
    return tmp_path / "run"


def test_a_file_is_read_once_for_each_size_and_time(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = run / "weights.pth"
    file.write_bytes(b"abc")
    assert DigestCache(run).of_file(file) == SHA256_OF_ABC
    read_again = pytest.raises(pytest.fail.Exception, match="read again")
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", lambda *_: pytest.fail("the file was read again"))
        assert DigestCache(run).of_file(file) == SHA256_OF_ABC
        moved = run.rename(run.with_name("moved"))
        assert DigestCache(moved).of_file(moved / file.name) == SHA256_OF_ABC
        with read_again:
            DigestCache(moved).of_file(moved / file.name, full=True)
        with read_again:
            DigestCache(None).of_file(moved / file.name)


def test_other_bytes_are_another_digest_and_a_touch_is_none(run: Path) -> None:
    file = run / "weights.pth"
    file.write_bytes(b"abc")
    for digests in (DigestCache(run), DigestCache(None)):
        before = digests.of_file(file)
        os.utime(file, (1, 1))
        assert digests.of_file(file) == before
        file.write_bytes(b"abcd")
        assert digests.of_file(file) != before
        file.write_bytes(b"abc")


def test_a_damaged_cache_is_no_cache(run: Path) -> None:
    """Noise, and a bit that changes a digest which would be believed."""
    file = run / "weights.pth"
    file.write_bytes(b"abc")
    DigestCache(run).of_file(file)
    whole = (run / CACHE).read_text()
    assert SHA256_OF_ABC in whole
    for text in ("", "[", "[1]", '{"x": 3}', whole.replace(SHA256_OF_ABC, "c" + SHA256_OF_ABC[1:])):
        (run / CACHE).write_text(text)
        assert DigestCache(run).of_file(file) == SHA256_OF_ABC


def test_the_cache_is_written_in_runs_alone(tmp_path: Path, run: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"abc")
    config = load_config(QUICKSTART, [f"matter.network.backbone.weights={file}"])
    assert fingerprints(config, tmp_path).backbone == SHA256_OF_ABC
    assert not (tmp_path / CACHE).exists()
    assert fingerprints(config, run).backbone == SHA256_OF_ABC
    assert (run / CACHE).is_file()
    file.unlink()
    assert fingerprints(config, run).backbone == GONE


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
