"""stylematte evaluate: the reference evaluator's figures, rows that are kept and only where they are valid."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from loop.cli.main import main
from stylematte.config import BackboneConfig, FpnConfig, network_from_plain
from stylematte.evaluate import dataset
from stylematte.evaluate import pictures as evaluation
from stylematte.imagefile import read_alpha, read_rgb, write_alpha, write_rgb, write_trimap
from stylematte.inference.options import InferenceOptions, predict_in
from stylematte.metrics import FIGURES, TRIMAP_FIGURES, reference, score_pair
from stylematte.networks.stylematte import StyleMatte
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import load_matter, save_matter
from stylematte.workers import spread
from tests.fixture_files import outside

TINY = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4, "drop_path_rate": 0.0}


def matter(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    network = StyleMatte(FpnConfig(backbone=BackboneConfig(kwargs=TINY), channels=16))
    save_matter(folder, network, {"size": 64})
    return folder


@pytest.fixture(scope="module")
def matters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("matters")
    return [matter(folder / str(seed), seed) for seed in (0, 1)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four noise pictures as image/ and alpha/."""
    generator = torch.Generator().manual_seed(0)
    for name in "abcd":
        write_rgb(tmp_path / f"data/image/{name}.png", torch.rand(3, 40, 36, generator=generator))
        write_alpha(tmp_path / f"data/alpha/{name}.png", torch.rand(1, 40, 36, generator=generator))
    return tmp_path / "data"


def evaluated(out: Path) -> dict[str, dict[str, float]]:
    with (out / "per_picture.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    return {row.pop("picture"): {key: float(value) for key, value in row.items()} for row in rows}


def test_the_alpha_pairs_give_the_reference_evaluators_figures(matters, tmp_path, capsys):
    """Figures by the definitions written out in `stylematte.metrics.reference`, files opened by PIL alone."""
    shared = outside("data")
    assert main(["evaluate", str(matters[0]), "--data", str(shared), "-o", str(tmp_path)]) == 0
    ours = evaluated(tmp_path)
    network = load_matter(matters[0])
    with (shared / "manifest.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"] == "alpha"]
    assert len(rows) == len(ours) == 32
    for row in rows:
        (pred,) = predict_in(network, [read_rgb(shared / row["file"])], InferenceOptions(64, enlarge=True))
        truth, trimap = (np.asarray(Image.open(shared / row[part]).convert("L")) / 255 for part in ("alpha", "trimap"))
        expected = reference.score_pair(pred[0].numpy(), truth, trimap)
        assert list(ours[str(Path(row["file"]).with_suffix(""))]) == list(TRIMAP_FIGURES)
        assert ours[str(Path(row["file"]).with_suffix(""))] == pytest.approx(expected, rel=1e-6, abs=1e-9), row["file"]
    assert read_rgb(tmp_path / "worst.png").shape[1] > 4 * 150  # four lines of two pictures
    assert "24 more" in capsys.readouterr().out


def test_kept_rows_are_used_for_the_same_question_only(matters, data, tmp_path, monkeypatch, capsys):
    done: list[str] = []
    measure = dataset.measure

    def counting(example):
        done.append(example.id[-1])
        return measure(example)

    monkeypatch.setattr(dataset, "measure", counting)

    def run(which: int, *more: str) -> str:
        done.clear()
        assert main(["evaluate", str(matters[which]), "--data", str(data), "-o", str(tmp_path), "--json", *more]) == 0
        assert json.loads(capsys.readouterr().out)["n"] == 4
        return "".join(done)

    assert run(0) == "abcd"
    first = evaluated(tmp_path)
    assert list(next(iter(first.values()))) == list(FIGURES)
    assert run(0) == ""
    assert evaluated(tmp_path) == first
    assert run(1) == "abcd"  # another matter
    assert evaluated(tmp_path) != first
    assert run(0, "--size", "32") == "abcd"  # another question to the same matter
    assert run(0, "--size", "0") == "abcd"
    assert run(0) == ""
    assert evaluated(tmp_path) == first
    write_alpha(data / "alpha/c.png", torch.ones(1, 40, 36))
    assert run(0) == "c"  # another truth
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text()[:-40])  # killed while it wrote the last row
    assert run(0) == "c"
    assert run(0) == ""
    monkeypatch.setattr(evaluation, "PROTOCOL", "p3m-next")
    assert run(0) == "abcd"


def test_a_broken_picture_is_named_and_the_rest_measured(matters, data, tmp_path, capsys):
    (data / "image/b.png").write_bytes(b"nothing")
    write_alpha(data / "alpha/d.png", torch.ones(1, 40, 30))
    words = ["evaluate", str(matters[0]), "--data", str(data), "-o", str(tmp_path)]
    assert main(words) == 3
    printed = capsys.readouterr()
    assert "mean of 2" in printed.out
    assert [line for line in printed.err.splitlines() if "not measured" in line] == [
        f"stylematte: not measured: {data}/image/b.png: not a picture, or a format that is not supported",
        f"stylematte: not measured: {data}/alpha/d.png: is 30 x 40, its picture 36 x 40",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--kind", "mask"], "it has (subject/kind/split): any/alpha/all"),
        (["--layout", "am-2k"], "holds no pictures laid out as am-2k"),
        (["--workers", "0"], "--workers 0"),
        (["--trimap", "3"], "is of variant fpn, which sees none"),
        (["--size", "20"], "--size 20: must be at least 32"),
        (["--device", "cuda:99"], "--device cuda:99: this machine has no such device"),
    ],
)
def test_a_wrong_question_costs_nothing(words, says, matters, data, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["evaluate", str(matters[0]), "--data", str(data), "-o", str(out), *words]) in (2, 3)
    assert says in capsys.readouterr().err
    assert not out.exists()


def spoiled(data: Path, kind: str) -> None:
    """The only example of a data set, wrong in one way."""
    image, alpha = data / "image/x.png", data / "alpha/x.png"
    write_rgb(image, torch.rand(3, 40, 36))
    write_alpha(alpha, torch.rand(1, 40, 30 if kind == "another size" else 36))
    if kind == "one pixel":
        Image.new("RGB", (1, 1)).save(image)
    if kind == "nan":
        image.unlink()
        Image.fromarray(np.full((40, 36), np.nan, np.float32)).save(data / "image/x.tif")
    if kind == "truncated":
        alpha.write_bytes(alpha.read_bytes()[:200])
    if kind == "grey trimap":
        write_alpha(data / "trimap/x.png", torch.full((1, 40, 36), 0.3))


SPOILED = {
    "another size": "alpha/x.png: is 30 x 40, its picture 36 x 40",
    "one pixel": "image/x.png: 1 x 1 pixels is too small",
    "nan": "image/x.tif: pixel format F is not supported",
    "truncated": "alpha/x.png: broken picture",
    "grey trimap": "trimap/x.png: grey value 77 on 100.0% of the picture",
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_bad_picture_alone_is_one_line_and_writes_nothing(kind, matters, tmp_path, capsys):
    spoiled(tmp_path / "data", kind)
    assert main(["evaluate", str(matters[0]), "--data", str(tmp_path / "data"), "-o", str(tmp_path / "out")]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert SPOILED[kind] in line
    assert not (tmp_path / "out").exists()
    assert main(["data", "check", str(tmp_path / "data")]) == 3


def test_work_is_spread_over_processes():
    assert dict(spread(abs, [-1, 2, -3], 2)) == dict(spread(abs, [-1, 2, -3], 1)) == {-1: 1, 2: 2, -3: 3}


def test_broken_weights_are_one_line_whatever_the_workers(matters, data, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "matter.json").write_bytes((matters[0] / "matter.json").read_bytes())
    (broken / "matter.safetensors").write_bytes(b"cut")
    assert main(["evaluate", str(broken), "--data", str(data), "-o", str(tmp_path / "out"), "--workers", "2"]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "not a safetensors file" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_workers_measure_what_one_does(matters, data, tmp_path):
    for workers in ("1", "2"):
        words = ["evaluate", str(matters[0]), "--data", str(data), "-o", str(tmp_path / workers), "--workers", workers]
        assert main(words) == 0
    assert evaluated(tmp_path / "1") == evaluated(tmp_path / "2")


def tiny(variant: str, folder: Path) -> Path:
    torch.manual_seed(3)
    more = {"detail": {"detail_channels": 4}, "released": {"channels": 64, "encoder_layers": 1, "feedforward": 32}}
    config = {"backbone": {"kwargs": TINY}, "channels": 8, "variant": variant, **more.get(variant, {})}
    save_matter(folder, build_matter(network_from_plain(config)), {"size": 64})
    return folder


@pytest.mark.parametrize(
    ("variant", "words"),
    [("released", []), ("fpn", []), ("fpn", ["--max-side", "4096"]), ("detail", ["--tile", "32", "--flip"])],
)
def test_matte_and_evaluate_are_one_prediction(variant, words, data, tmp_path):
    """What `matte` writes with 16 bits, scored, is what `evaluate` measures; also for photos below the trained size."""
    folder = tiny(variant, tmp_path / variant)
    assert main(["evaluate", str(folder), "--data", str(data), "-o", str(tmp_path / "out"), *words]) == 0
    given = ["--matter", str(folder), "-o", str(tmp_path / "alphas"), "--bits", "16", *words]
    assert main(["matte", str(data / "image"), *given]) == 0
    for name, row in evaluated(tmp_path / "out").items():
        pred, truth = read_alpha(tmp_path / f"alphas/{name[-1]}_alpha.png"), read_alpha(data / f"alpha/{name[-1]}.png")
        assert score_pair(pred[0].numpy(), truth[0].numpy())["SAD"] == pytest.approx(row["SAD"], rel=2e-5)


def test_a_trimap_of_the_truth_is_seen_and_set(tmp_path, capsys):
    """Ramps from 0 to 1 over columns 10 to 19: at radius 3 columns 7 to 22 are unknown, all others right."""
    folder, data = tiny("detail", tmp_path / "detail"), tmp_path / "data"
    truth = ((torch.arange(40.0) - 9) / 11).clamp(0, 1).expand(1, 30, 40)
    for name in "ab":
        write_rgb(data / f"image/{name}.png", torch.rand(3, 30, 40))
        write_alpha(data / f"alpha/{name}.png", truth)
    words = ["evaluate", str(folder), "--data", str(data), "-o", str(tmp_path / "out"), "--json"]
    assert main([*words, "--trimap", "3"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["trimap"] == 3
    row = printed["pictures"]["image/a"]
    assert row["SAD"] == pytest.approx(row["SAD-T"])
    assert (row["SAD-FG"], row["SAD-BG"]) == (0, 0)
    expected = torch.full((1, 30, 40), 0.5)
    expected[..., :7], expected[..., 23:] = 0, 1
    (alpha,) = predict_in(load_matter(folder), [read_rgb(data / "image/a.png")], InferenceOptions(64, True), [expected])
    same = score_pair(alpha[0].numpy(), read_alpha(data / "alpha/a.png")[0].numpy(), expected[0].numpy())
    assert same == pytest.approx(row)
    assert main(words) == 0  # the same matter without: another question, another answer
    assert json.loads(capsys.readouterr().out)["pictures"]["image/a"]["SAD"] > 1.2 * row["SAD"]
    assert main([*words, "--trimap", "data"]) == 3
    assert "2 of 2 pictures have none" in capsys.readouterr().err
    write_trimap(data / "trimap/a.png", expected)
    write_trimap(data / "trimap/b.png", expected)
    assert main([*words, "--trimap", "data"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"]["image/a"] == pytest.approx(row)
    write_trimap(data / "trimap/b.png", expected[..., 1:])
    assert main([*words, "--trimap", "data"]) == 3
    assert "trimap/b.png: is 39 x 30, the photo b.png is 40 x 30" in capsys.readouterr().err
