"""One flipped bit in each kind of file of a run: `verify` names it, no verb uses it silently, `run` makes it again."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.cli.main import main
from loop.engine.record import StageRecord
from stylematte.errors import WeightsError
from stylematte.rounds import best_matter
from stylematte.sealed import MARK

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy to break, with the times of the original."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def kinds(run: Path) -> list[Path]:
    """One file of each kind: numbers and domains do not count."""
    found = {}
    for file in sorted((run / "rounds").rglob("*")):
        if file.is_file():
            found[re.sub(r"\d+|portraits|animals|background", "#", str(file.relative_to(run)))] = file
    return list(found.values())


def flip(file: Path) -> None:
    """A bit that matters: the middle of a file of bytes, a digit of a record's first metric or of its time."""
    data = bytearray(file.read_bytes())
    place = len(data) // 2
    if file.name == "stage.json":
        place = data.index(b"seconds") + len(b'seconds": ')
    if data:
        data[place] ^= 1
    file.write_bytes(data or b"\n")


def test_python_reads_what_was_made_or_nothing(run: Path) -> None:
    """`load` knows no loop, but reads its records."""
    import stylematte
    import stylemattegan

    best = best_matter(run)
    assert best is not None
    generator = run / GENERATOR
    assert stylematte.load(run).folder == best
    assert stylemattegan.load(run, "portraits").folder == generator.parent
    for file in (best / "matter.safetensors", best / "matter.json", best / "stage.json"):
        whole = file.read_bytes()
        flip(file)
        for source in (run, best):
            with pytest.raises(WeightsError, match=r"is damaged.* moves it aside and makes it again"):
                stylematte.load(source)
        file.write_bytes(whole)
    flip(generator)
    with pytest.raises(WeightsError, match="select_generator is damaged"):
        stylemattegan.load(run, "portraits")


CONFIG_SAYS = "config.yaml is damaged or was edited: delete its last line if you meant to change it"


def test_a_bit_of_the_configuration_is_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number that is another number: YAML all the same."""
    whole = (run / "config.yaml").read_text()
    changed = whole.replace("margin: 0.05", "margin: 0.04")
    assert changed != whole
    (run / "config.yaml").write_text(changed)
    sample = ["sample", "-o", f"{run}/out", "--domain", "portraits"]
    for words, code in ((["run"], 2), (["status"], 2), (sample, 3), (["report"], 0)):
        assert main([*words, str(run)]) == code, words
        (line,) = capsys.readouterr().err.splitlines()
        assert CONFIG_SAYS in line.replace("config.yaml: is", "config.yaml is"), words
    assert main(["verify", str(run)]) == 3
    assert CONFIG_SAYS.removeprefix("config.yaml ") in capsys.readouterr().out
    (run / "config.yaml").write_text(changed.partition(MARK)[0])
    assert main(["status", str(run)]) == 0
    for noise in (b"run: [", b"\xff\xfe", changed.encode()):  # the YAML file that it came from mends it
        (run / "config.yaml").write_bytes(noise)
        assert main(["run", str(ROOT / "configs/tiny.yaml"), f"run.dir={run}"]) == 0
        assert main(["verify", str(run)]) == 0


def test_a_whole_run_is_said_to_be_whole(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(run)]) == 0
    assert capsys.readouterr().out == "19 results, 0 earlier ones and 0 checkpoints read: nothing is damaged\n"


def test_each_kind_of_file_is_found_by_verify_and_status(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = kinds(run)
    assert len(files) > 30
    of_step: dict[Path, list[Path]] = {}
    for file in files:
        step = next(parent for parent in file.parents if (parent / "stage.json").is_file()).relative_to(run)
        of_step.setdefault(step, []).append(file)
    while of_step:  # one file of each step at a time: no damage hides behind another
        now = {step: left.pop() for step, left in of_step.items()}
        of_step = {step: left for step, left in of_step.items() if left}
        before = {file: (file.read_bytes(), file.stat()) for file in now.values()}
        for file in before:
            flip(file)
        for verb in ("status", "report"):
            assert main([verb, str(run)]) == 0
            said = capsys.readouterr().err.splitlines()
            assert [line.split(": ")[1] for line in said] == sorted(map(str, now)), (verb, now)
            assert all(": damaged" in line for line in said)
        for file, (_, info) in before.items():
            os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))  # as a disk does it: nothing but the bit changes
        assert main(["verify", str(run), "--json"]) == 3
        damaged = json.loads(capsys.readouterr().out)["damaged"]
        assert [line.partition(": damaged")[0] for line in damaged] == sorted(map(str, now)), now
        for file, (whole, info) in before.items():
            file.write_bytes(whole)
            os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert main(["verify", str(run)]) == 0


def test_run_says_it_keeps_it_and_makes_it_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one go: a file of each stage, last to first, so that nothing hides what lies behind it."""
    before = {
        file.parent.relative_to(run): StageRecord.load(file.parent).outputs for file in run.glob("rounds/**/stage.json")
    }
    stages: dict[str, Path] = {}
    for file in kinds(run):
        step = next(parent for parent in file.parents if (parent / "stage.json").is_file())
        stages.setdefault(step.name, file)
    for file in stages.values():
        flip(file)
    assert main(["run", str(run), "launch.ask_above=1000"]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert err.count("; moved to ") == len(stages) == 10
    assert len(list(run.glob("kept/**/damaged-1"))) == 10
    after = {path: StageRecord.load(run / path).outputs for path in before}
    assert after == before
    assert main(["verify", str(run)]) == 0


def test_long_results_are_not_made_again_without_consent(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(run / "rounds/00/fit_matter/matter.safetensors")
    damaged = (run / "rounds/00/fit_matter/matter.safetensors").read_bytes()
    assert main(["run", str(run), "launch.ask_above=0", "--json"]) == 2
    assert "00/fit_matter" in (err := capsys.readouterr().err)
    assert "damaged: its files are not those that were made" in err
    assert (run / "rounds/00/fit_matter/matter.safetensors").read_bytes() == damaged


MATTER, GENERATOR = "BEST/matter.safetensors", "rounds/01/portraits/select_generator/G_ema.safetensors"
USES = [
    (MATTER, ["matte", "PHOTO", "--matter", "RUN", "-o", "OUT"]),
    (MATTER, ["trimap", "PHOTO", "--from", "matter", "--matter", "RUN", "-o", "OUT"]),
    (MATTER, ["evaluate", "RUN", "--data", "OUT", "-o", "OUT"]),
    (MATTER, ["export", "RUN", "-o", "OUT"]),
    ("rounds/00/prepare/index.jsonl", ["export", "RUN", "-o", "OUT"]),
    (GENERATOR, ["sample", "RUN", "-o", "OUT", "--domain", "portraits"]),
    (GENERATOR, ["measure", "RUN", "--domain", "portraits"]),
    (GENERATOR, ["export", "RUN", "-o", "OUT"]),
]


@pytest.mark.parametrize(("file", "words"), USES, ids=[f"{words[0]} {Path(file).name}" for file, words in USES])
def test_no_verb_reads_damaged_weights(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, words: list[str]
) -> None:
    best = best_matter(run)
    assert best is not None
    file = file.replace("BEST", str(best.relative_to(run)))
    flip(run / file)
    photo = next(run.glob("rounds/01/evaluate/photo/*.png"))
    names = {"RUN": str(run), "OUT": str(tmp_path / "out"), "PHOTO": str(photo)}
    assert main([names.get(word, word) for word in words]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{Path(file).parent} is damaged" in line or f"{Path(file).parent}: damaged" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["[]", "null", '{"metrics": []}', '{"metrics": {"kind": {}}, "seconds": "x"}', "{"])
@pytest.mark.parametrize("verb", ["report", "status", "plan", "verify"])
def test_a_damaged_record_is_named(run: Path, capsys: pytest.CaptureFixture[str], verb: str, text: str) -> None:
    for step in ("00/prepare", "01/evaluate", "01/portraits/select_generator"):
        (run / "rounds" / step / "stage.json").write_text(text)
    assert main([verb, str(run)]) == (3 if verb == "verify" else 0)
    # In a narrow table a long path goes over several lines of its column.
    assert "stage.json" in re.sub(r"[│\s]", "", "".join(capsys.readouterr()))


@pytest.fixture
def read_only(tiny_run: Path) -> Iterator[Path]:
    """A run that cannot be written by whoever does not have root's right to write anything."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    run = Path(shutil.copytree(tiny_run, folder / "run"))
    below = [path for path in (run, *run.rglob("*")) if path.is_dir()]
    for path in below:
        path.chmod(0o555)
    yield run
    for path in below:
        path.chmod(0o755)
    shutil.rmtree(folder)


def mortal() -> None:
    """Of root's process: give up CAP_DAC_OVERRIDE (1) for what is executed next (PR_CAPBSET_DROP, 24)."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


def test_a_run_that_cannot_be_written_is_read(read_only: Path) -> None:
    out = read_only.parent / "out"
    out.mkdir()
    out.chmod(0o777)

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(out)}
        line = [sys.executable, "-m", "loop", *words]
        return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, preexec_fn=mortal)

    first = command("status", str(read_only))
    assert first.returncode == 0, first.stderr
    assert "19 of 19 steps done" in first.stdout
    refused = command("report", str(read_only))
    assert refused.returncode == 3
    assert refused.stderr.splitlines() == [
        f"stylematte: {read_only}/report.html: cannot be written (Permission denied): the run cannot be written; give "
        "-o FILE.html"
    ]
    assert command("report", str(read_only), "-o", str(out / "page.html")).returncode == 0
    assert (out / "page.html").stat().st_size > 10_000
