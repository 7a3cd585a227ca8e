"""`stylematte import-generator`: a snapshot becomes a generator folder to start a loop from; a bad one is a line."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from loop.config.load import load_config
from loop.engine.stage import Context
from stylematte.errors import ConfigError
from stylematte.imagefile import read_rgba
from stylemattegan.generator_folder import generator_folders
from stylemattegan.networks.weights import load_all, load_generator
from tests.loop.planned import planned
from tests.stylemattegan.snapshots import networks, tree_of, write_snapshot

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"


class Evil:
    """What a hostile pickle does when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def snapshot(path: Path, channels: int = 3, extra: object = None, **changes: object) -> Path:
    return write_snapshot(path, tree_of(*networks(channels, **changes)) | {"extra": extra})


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """An RGB snapshot of 32 x 32, imported with --rgba."""
    snapshot(tmp_path / "network.pkl", img_resolution=32)
    assert main(["import-generator", str(tmp_path / "network.pkl"), "-o", str(tmp_path / "start"), "--rgba"]) == 0
    return tmp_path / "start"


def test_it_says_what_it_wrote_and_what_the_licence_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-generator", str(snapshot(tmp_path / "a.pkl")), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "StyleGAN3-T, 16 x 16, RGB\n" in printed
    assert "not for commercial use" in printed
    assert "--rgba adds one" in printed


def test_a_snapshot_becomes_a_folder_that_samples(imported: Path, tmp_path: Path) -> None:
    meta = json.loads((imported / "generator.json").read_text())["meta"]
    assert meta["source"] == "network.pkl"
    assert meta["rgba_added"]
    assert "commercial" in meta["licence"]
    assert generator_folders(imported) == {"start": imported}
    assert main(["sample", str(imported), "-o", str(tmp_path / "out"), "--seeds", "1-2"]) == 0
    assert float(read_rgba(tmp_path / "out/start/000001.png")[3].min()) == 1


def test_json_says_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = snapshot(tmp_path / "a.pkl", 4, conv_kernel=1, use_radial_filters=True)
    assert main(["import-generator", str(file), "-o", str(tmp_path / "out"), "--json", "--fp16"]) == 0
    printed = json.loads(capsys.readouterr().out)
    G = load_generator(tmp_path / "out")
    assert printed["parameters"]["G"] == sum(p.numel() for p in G.parameters())
    assert printed["config"]["G"] == G.config
    assert printed["official"] == {"resolution": 16, "channels": 4, "augment_p": None}


BAD = {
    "code": ("names posix.system, which weights do not need; nothing of it was run", 3),
    "truncated": ("cannot be read as a pickle, perhaps truncated", 3),
    "text": ("not a pickle of protocol 2 or later", 3),
    "folder": ("a folder; expected a file", 3),
    "grey": ("makes pictures of 1 channels; expected 3 (RGB) or 4 (RGBA)", 3),
    "none": ("no such file", 3),
    "alpha": ("has an alpha already; leave out --rgba", 2),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_wrong_file_is_one_line_and_leaves_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("file.pkl")
    if kind == "text":
        file.write_text("<html>404</html>")
    elif kind == "folder":
        file.mkdir()
    elif kind != "none":
        snapshot(file, {"grey": 1, "alpha": 4}.get(kind, 3), Evil() if kind == "code" else None)
    if kind == "truncated":
        file.write_bytes(file.read_bytes()[:-3000])
    before = sorted(tmp_path.iterdir())
    says, code = BAD[kind]
    assert main(["import-generator", "file.pkl", "-o", "out", "--rgba"]) == code
    error = capsys.readouterr().err
    assert error.startswith("stylematte: file.pkl: ")
    assert says in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_what_exists_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = snapshot(tmp_path / "a.pkl")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    for out in (tmp_path / "out", tmp_path / "out" / "mine"):
        assert main(["import-generator", str(file), "-o", str(out)]) == 3
        assert "nothing is overwritten" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine").read_text() == "kept"


# --- generator.init_from


def load(*overrides: str):
    return load_config(TINY, overrides)


def test_a_folder_that_does_not_fit_is_refused_before_work_starts(imported: Path, tmp_path: Path) -> None:
    rgb, small = tmp_path / "rgb", tmp_path / "small"
    shutil.copytree(imported, rgb)
    about = json.loads((rgb / "generator.json").read_text())
    about["generator"]["img_channels"] = about["discriminator"]["img_channels"] = 3
    (rgb / "generator.json").write_text(json.dumps(about))
    shutil.copytree(imported, small)
    (small / "D.safetensors").unlink()
    for overrides, says in (
        ([f"generator.init_from.portraits={imported}", "data.size=64"], "makes pictures of 32 x 32; set data.size=32"),
        ([f"generator.init_from.portraits={rgb}"], "has 3 channels, the loop needs 4 .RGBA.; import it with --rgba"),
        ([f"generator.init_from.portraits={small}"], "holds no D.safetensors; make one with stylematte import-gen"),
        ([f"generator.init_from.portraits={tmp_path / 'gone'}"], "holds no generator.json"),
        ([f"generator.init_from.cars={imported}"], "'cars' is not one of data.domains"),
    ):
        with pytest.raises(ConfigError, match=says) as caught:
            load(*overrides)
        assert str(caught.value).count("\n") == 0


def test_the_content_of_the_folder_is_in_the_key_of_that_domains_fits_alone(imported: Path) -> None:
    given = f"generator.init_from.portraits={imported}"

    def keys(*overrides: str) -> dict:
        return {step.id: step.config for step in planned(load("run.rounds=2", *overrides))}

    plain, before = keys(), keys(given)
    fits = {f"0{round_}/portraits/fit_generator" for round_ in (1, 2)}
    assert {id_ for id_ in plain if plain[id_] != before[id_]} == fits
    os.utime(imported / "G.safetensors", (0, 0))
    assert keys(given) == before
    state = bytearray((imported / "G.safetensors").read_bytes())
    state[-1] ^= 1
    (imported / "G.safetensors").write_bytes(state)
    after = keys(given)
    assert {id_ for id_ in before if after[id_] != before[id_]} == fits


def test_the_first_fit_goes_on_from_the_folder(imported: Path, tiny_run: Path, tmp_path: Path) -> None:
    """At a rate of almost 0 the weights, of other shapes than generator.network asks for, stay as they were."""
    from loop.stages.fit_generator import run

    slow = [f"generator.fit.{key}" for key in ("glr=1e-9", "dlr=1e-9", "ema_kimg=1e6")]
    config = load(f"generator.init_from.portraits={imported}", *slow)
    step = next(step for step in planned(config) if step.id == "01/portraits/fit_generator")
    for name in ("out", "scratch"):
        (tmp_path / name).mkdir()
    inputs = {name: tiny_run / "rounds" / where for name, where in step.inputs.items()}
    ctx = Context(inputs=inputs, out=tmp_path / "out", scratch=tmp_path / "scratch", config=step.config, seed=step.seed)
    assert run(ctx)["kimg"] == 0.016
    assert "commercial" in load_all(tmp_path / "out")[3]["licence"]
    for network, before in zip(load_all(tmp_path / "out")[:3], load_all(imported)[:3], strict=True):
        decays = {key: network.config.get(key) for key in ("magnitude_ema_beta", "w_avg_beta")}
        assert network.config == {**before.config, **{k: v for k, v in decays.items() if v is not None}}
        for key, value in before.named_parameters():
            torch.testing.assert_close(network.get_parameter(key), value, rtol=0, atol=1e-4)
