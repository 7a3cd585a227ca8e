"""What a user can get wrong, what it prints (one line, no traceback), and the exit code."""

import errno
from pathlib import Path

import pytest

from loop.cli.exit_codes import exit_code
from loop.cli.main import main, message

ROOT = Path(__file__).parents[3]
QUICKSTART = str(ROOT / "configs" / "quickstart.yaml")

TABLE = [
    # words, exit code, what the line says
    (["run", "configs/none.yaml"], 2, "configs/none.yaml: no such file"),
    (["run", QUICKSTART, "run.roundz=3"], 2, "Did you mean: 'rounds'?"),
    (["run", QUICKSTART, "matter.first.batch=x"], 2, "matter.first.batch=x: Value 'x' of type 'str' could not be"),
    (["run", QUICKSTART, "data.root=/none"], 2, "data.root=/none: no such folder"),
    (["run", str(ROOT / "configs/real-small.yaml")], 2, "add data.root=... to the command"),
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
    (["score", "TMP/none.png", "TMP/none.png"], 3, "none.png: no such file or folder"),
    (["score", "TMP/text.png", "TMP/text.png"], 3, "text.png"),
    (["score", "TMP/empty", "TMP/empty"], 3, "no pictures in"),
]


@pytest.mark.parametrize(("words", "code", "says"), TABLE, ids=[" ".join(words)[-60:] for words, _, _ in TABLE])
def test_one_line_and_the_code(
    words: list[str], code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("this is no picture")
    domains = "domains: {portraits: portrait}"
    (tmp_path / "nomanifest.yaml").write_text(
        f"run: {{dir: {tmp_path}/run}}\ndata: {{root: {tmp_path}/empty, {domains}}}"
    )
    (tmp_path / "nomodel.yaml").write_text(
        f"extends: {ROOT}/configs/tiny.yaml\nrun: {{dir: {tmp_path}/run}}\n"
        "matter: {network: {backbone: {name: swin_tinny}}}"
    )
    assert main([word.replace("TMP", str(tmp_path)) for word in words]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("stylematte: ")]
    assert len(lines) == 1
    assert says in lines[0]


def test_a_full_disk_is_told_as_such() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "runs/a/last.ckpt")
    assert exit_code(error) == 1
    assert message(error) == "the disk is full (runs/a/last.ckpt): free some space, then type the same command"


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    assert exit_code(AssertionError("ours")) is None
