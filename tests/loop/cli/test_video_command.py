"""`stylematte video`: every command of docs/video.md as it stands there, what it prints, and how faults end."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from loop.cli.main import main
from stylematte.imagefile import from_uint8, write_rgb
from tests.stylematte.video.tiny_clips import picture_of, times_of, write_audio, write_clip, write_masks

PAGE = Path(__file__).parents[3] / "docs/video.md"
COMMANDS = [line for line in PAGE.read_text().splitlines() if line.startswith("stylematte video ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("clips")
    write_clip(place / "clip.mp4", 8, audio="aac")
    write_masks(place / "masks", 8)
    for index in range(3):
        write_rgb(place / f"frames/{index}.png", from_uint8(picture_of(index)))
    return place


def test_the_commands_of_the_page(folder, tiny_run, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert len(COMMANDS) == 6
    for command in COMMANDS:
        assert main(shlex.split(command.replace("runs/quickstart", str(tiny_run)))[1:]) == 0, command
    said = capsys.readouterr()
    assert "8 frames of clip.mp4 as alpha in alpha.mkv" in " ".join(said.out.split())
    assert "audio was left out: a .webm file takes no aac" in said.err
    assert times_of(folder / "alpha.mp4") == pytest.approx([0.02, 0.06, 0.1, 0.14, 0.18], abs=0.001)
    assert len(times_of(folder / "composite.mp4")) == 3
    assert len(list((folder / "pictures").glob("*.png"))) == 8


def test_one_line_and_a_code_for_what_cannot_be_used(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    write_audio(folder / "sound.m4a")
    (folder / "empty.mp4").write_bytes(b"")
    masks = ["--masks", "masks", "--method", "closed-form"]
    for words, code, said in (
        (["sound.m4a", "-o", "x.mkv"], 3, "sound.m4a: has no video stream (only audio)"),
        (["empty.mp4", "-o", "x.mkv"], 3, "empty.mp4: is empty"),
        (["clip.mp4", "-o", "x.avi"], 2, "-o x.avi: alpha cannot be written as .avi; expected .mkv, .mp4, or a folder"),
        (["clip.mp4", "-o", "x.mkv", "--fps", "5"], 2, "--fps is for a folder of frames"),
        (["clip.mp4", "-o", "x.mkv", "--write", "composite"], 2, "--write composite needs --background"),
        (["clip.mp4", "-o", "clip.mp4"], 3, "clip.mp4: is there already"),
    ):
        assert main(["video", *words, *masks]) == code, words
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    shutil.copytree("masks", "few", ignore=shutil.ignore_patterns("0007*"))
    assert main(["video", "clip.mp4", "-o", "x.mkv", "--masks", "few", "--method", "closed-form"]) == 3
    assert "few: has fewer masks than there are frames" in capsys.readouterr().err
    assert main(["video", "clip.mp4", "-o", "x.mkv", "--no-audio", "--json", *masks]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 8
