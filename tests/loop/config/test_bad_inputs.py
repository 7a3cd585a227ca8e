"""What a user can get wrong, what it prints (one line, no traceback), and the exit code."""

import errno
import resource
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from loop.cli.exit_codes import exit_code
from loop.cli.main import main, message
from loop.config.load import load_config

ROOT = Path(__file__).parents[3]
QUICKSTART = str(ROOT / "configs" / "small.yaml")

TINY = str(ROOT / "configs" / "tiny.yaml")
KWARGS, COMPOSITE = "matter.network.backbone.kwargs", "generator.composite_discriminator.backbone.kwargs"
WALK = ["sample", "TMP/empty", "-o", "TMP/out", "--walk", "w.webp", "--seeds", "1,2"]

TABLE = [
    # words, exit code, what the line says
    (["run", "configs/none.yaml"], 2, "configs/none.yaml: no such file"),
    (["run", QUICKSTART, "run.roundz=3"], 2, "Did you mean: 'rounds'?"),
    (["run", QUICKSTART, "matter.first.batch=x"], 2, "matter.first.batch=x: Value 'x' of type 'str' could not be"),
    (["run", QUICKSTART, "data.root=/none"], 2, "data.root=/none: no such folder"),
    (["run", str(ROOT / "configs/real-small.yaml")], 2, "add data.root=... to the command"),
    (["run", QUICKSTART, "data.root=TMP/empty", "data.drawn.oracle=true"], 2, "data.drawn.oracle=true needs drawn"),
    (["run", QUICKSTART, "data.root=TMP/empty", "synthesize.source=drawn"], 2, "synthesize.source=drawn needs drawn"),
    (["plan", QUICKSTART, "data.size=100"], 2, "the generator needs a power of two"),
    (["run", "TMP/nomanifest.yaml"], 3, "manifest.csv"),
    (["run", "TMP/nomodel.yaml"], 2, "has no such model; did you mean"),
    (["status", "TMP/empty"], 3, "not a run folder"),
    (["report", "TMP/empty"], 3, "not a run folder"),
    (["export", "TMP/empty", "-o", "TMP/out"], 3, "not a run folder"),
    (["matte", "TMP/none.jpg", "-o", "TMP/out"], 3, "none.jpg: no such file or folder"),
    (["matte", "TMP/empty", "-o", "TMP/out"], 3, "holds no pictures"),
    (["matte", "TMP/text.png", "-o", "TMP/out", "--matter", "TMP/empty"], 3, "no accepted matter"),
    (["sample", "TMP/empty", "-o", "TMP/out"], 3, "no generator; expected a run after round 1"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--seeds", "a-b"], 2, "--seeds a-b: expected for example 1-16"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--psi", "0"], 2, "psi 0 gives one picture"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--seeds", "0-99999999999"], 2, "at most 100000 at a time"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--seeds", "0-99999,0-9"], 2, "at most 100000 at a time"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--seeds", "9-3"], 2, "names no seed"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--psi", "inf"], 2, "--psi [inf]: expected one number"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--psi", "nan"], 2, "--psi [nan]: expected one number"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--psi", "0.5", "inf"], 2, "--psi [0.5, inf]: expected one number"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--translate", "nan,0"], 2, "--translate nan,0: expected finite"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--translate", "nan"], 2, "--translate nan: expected x,y"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--translate", "0,inf"], 2, "--translate 0,inf: expected finite"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--rotate", "inf"], 2, "--rotate inf: expected degrees"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--rotate", "nan"], 2, "--rotate nan: expected degrees"),
    (["sample", "TMP/empty", "-o", "TMP/out", "--grid", "99999999x99999999"], 2, "expected columns x rows"),
    ([*WALK, "--frames", "999999999999"], 2, "--walk of 1999999999998 frames: at most 10000"),
    ([*WALK, "--frames", "-1"], 2, "--frames -1: give at least 1"),
    (["measure", "TMP/empty", "--metrics", ""], 2, "--metrics : no metric ''"),
    (["measure", "TMP/empty", "--count", "1000000000000"], 2, "--count 1000000000000: expected 6 to 1000000"),
    (["measure", "TMP/empty", "--halves", "1000000000000"], 2, "--halves 1000000000000: expected 2 to 9999"),
    (["loss", "ddc", "TMP/a.png", "TMP/a.png", "--window", "99999"], 2, "--window=99999: expected a number from 3 to"),
    (["loss", "ddc", "TMP/a.png", "TMP/a.png", "--neighbours", "99999"], 2, "--neighbours=99999: expected a number"),
    (["dataset", "TMP/bomb.zip", "-o", "TMP/out.zip"], 3, "0 pictures can be used"),
    (["dataset", "TMP/bomb.zip", "-o", "TMP/out.zip"], 3, "bytes: no picture does"),
    (["matte", "TMP/a.png", "-o", "TMP/out", "--size", "-1"], 2, "--size -1: must be at least 32"),
    (["matte", "TMP/a.png", "-o", "TMP/out", "--size", "0"], 2, "--size 0: must be at least 32 pixels; --max-side"),
    (["matte", "TMP/a.png", "-o", "TMP/out", "--max-side", "0"], 2, "--max-side 0: must be at least 32"),
    (["matte", "TMP/a.png", "-o", "TMP/out", "--tile", "0"], 2, "--tile 0: must be at least 32"),
    (["run", TINY, "matter.first.losses.l1=inf"], 2, "matter.first.losses.l1=inf: expected 0 or more"),
    (["run", TINY, "matter.first.clip=inf"], 2, "matter.first.clip=inf: expected 0 or more"),
    (["run", TINY, "matter.later.weight_decay=inf"], 2, "matter.later.weight_decay=inf: expected 0 or more"),
    (["run", TINY, "matter.first.ema=nan"], 2, "matter.first.ema=nan: expected a number from 0 to"),
    (["run", TINY, "generator.fit.r1_gamma=inf"], 2, "generator.fit.r1_gamma=inf: expected"),
    (["run", TINY, f"{KWARGS}={{cache_dir: x}}"], 2, "kwargs.cache_dir: may not be given"),
    (["run", TINY, f"{KWARGS}={{embed_dim: -8}}"], 2, "kwargs.embed_dim=-8: expected a whole number from 0"),
    (["run", TINY, f"{KWARGS}={{embed_dim: 8.5}}"], 2, "kwargs.embed_dim=8.5: expected a whole number from 0"),
    (["run", TINY, f"{KWARGS}={{depths: [1, 1, -1, 1]}}"], 2, "kwargs.depths=[1, 1, -1, 1]: expected a whole number"),
    (["run", TINY, f"{KWARGS}={{window_size: .inf}}"], 2, "kwargs.window_size=inf: expected a whole number"),
    (["run", TINY, f"{KWARGS}={{drop_path_rate: -0.5}}"], 2, "kwargs.drop_path_rate=-0.5: expected a number"),
    (["run", TINY, f"{KWARGS}={{num_heads: [0, 0, 0, 0]}}", "run.dir=TMP/run"], 2, "cannot give four feature maps"),
    (["run", TINY, f"{KWARGS}={{no_such: 1}}", "run.dir=TMP/run"], 2, "were refused"),
    (["run", TINY, f"{COMPOSITE}={{embed_dim: -8}}"], 2, "kwargs.embed_dim=-8: expected a whole number from 0"),
    (["score", "TMP/none.png", "TMP/none.png"], 3, "none.png: no such file or folder"),
    (["score", "TMP/text.png", "TMP/text.png"], 3, "text.png"),
    (["score", "TMP/empty", "TMP/empty"], 3, "no pictures in"),
]


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """Inside, the process may take 2 GiB more than it has: what asks for more gets a MemoryError."""
    import timm  # noqa: F401 (libraries take most of the addresses, and are not what is bounded)
    import torch  # noqa: F401

    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**31, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_bound_of_memory_binds(bounded_memory: None) -> None:
    with pytest.raises(MemoryError):
        bytearray(2**32)


@pytest.mark.usefixtures(*(["bounded_memory"] if sys.platform == "linux" else []))
@pytest.mark.parametrize(("words", "code", "says"), TABLE, ids=[" ".join(words)[-60:] for words, _, _ in TABLE])
def test_one_line_and_the_code(
    words: list[str], code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("this is no picture")
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", b"\0" * 2**25)
    domains = "domains: {portraits: portrait}"
    (tmp_path / "nomanifest.yaml").write_text(
        f"run: {{dir: {tmp_path}/run}}\ndata: {{root: {tmp_path}/empty, {domains}}}"
    )
    (tmp_path / "nomodel.yaml").write_text(
        f"extends: {ROOT}/configs/tiny.yaml\nrun: {{dir: {tmp_path}/run}}\n"
        "matter: {network: {backbone: {name: swin_tinny}}}"
    )
    began = time.process_time()
    assert main([word.replace("TMP", str(tmp_path)) for word in words]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("stylematte: ")]
    assert len(lines) == 1
    assert says in lines[0]
    assert time.process_time() - began < 20
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("run/rounds/*/[!.]*"))


@pytest.mark.parametrize("word", ["run.dir=~/x", "run.dir=~nobody-of-that-name/x"])
def test_the_home_folder_is_written_out(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = load_config(Path(TINY), [word]).run.dir
    assert found == (f"{tmp_path}/x" if word == "run.dir=~/x" else "~nobody-of-that-name/x")


def test_a_full_disk_is_told_as_such() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "runs/a/last.ckpt")
    assert exit_code(error) == 1
    assert message(error) == "the disk is full (runs/a/last.ckpt): free some space, then type the same command"


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    assert exit_code(AssertionError("ours")) is None
