"""`sample` and `measure` on a small generator: files, resuming, tables, and what is refused in one line."""

import json

import pytest
import torch

from loop.cli.main import main
from loop.cli.measure import FID, _print
from stylematte.imagefile import read_rgba, read_text, write_rgba
from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.weights import save_generator
from stylemattegan.sample import official_latents, psi_for_seed, sample, shown


def saved(folder, meta, c_dim=0):
    torch.manual_seed(0)
    sizes = {"z_dim": 8, "w_dim": 8, "img_resolution": 32, "c_dim": c_dim, "num_layers": 6, "margin_size": 4}
    G = Generator(**sizes, channel_base=64, channel_max=8).eval()
    D = Discriminator(img_resolution=32, channel_base=64, channel_max=8, c_dim=c_dim)
    save_generator(folder, G, D, G, meta)
    return G


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("generators")
    saved(place / "own", {})
    saved(place / "imported", {"official": {}, "rgba_added": False})
    saved(place / "classes", {}, c_dim=3)
    for index in range(12):
        noise = torch.rand(4, 32, 32, generator=torch.Generator().manual_seed(index))
        write_rgba(place / f"pool/{index}.png", 0.9 + 0.1 * noise)
    write_rgba(place / "large/0.png", torch.rand(4, 64, 64))
    write_rgba(place / "large/1.png", torch.rand(4, 64, 64))
    return place


def test_pictures_tell_what_made_them_and_are_made_once(folders, tmp_path, capsys):
    command = ["sample", str(folders / "own"), "-o", str(tmp_path), "--psi", "0.5", "1", "--grid", "2x2"]
    assert main([*command, "--seeds", "1-3,7"]) == 0
    out = tmp_path / "own"
    recipe = json.loads(read_text(out / "000007.png")["stylematte"])
    assert (recipe["seed"], recipe["psi"], recipe["translate"]) == (7, psi_for_seed(7, (0.5, 1)), [0, 0])
    assert [json.loads(line)["seed"] for line in (out / "samples.jsonl").read_text().splitlines()] == [1, 2, 3, 7]
    (out / "000002.png").write_bytes((out / "000002.png").read_bytes()[:-40])
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("0*.png")}
    assert main([*command, "--seeds", "1-3,7,9"]) == 0
    assert "5 pictures in " in (printed := capsys.readouterr().out.splitlines()[-1])
    assert "(3 were there), the first 4 on" in printed
    made = {name for name, time in times.items() if (out / name).stat().st_mtime_ns != time}
    assert made == {"000002.png"}
    before = read_rgba(out / "000001.png")
    assert main([*command, "--seeds", "1", "--rotate", "20", "--translate", "0.1,0"]) == 0
    assert not torch.equal(read_rgba(out / "000001.png"), before)


def test_imported_generators_have_official_seeds_and_straight_colour(folders, tmp_path):
    assert main(["sample", str(folders / "imported"), "-o", str(tmp_path), "--seeds", "5", "--psi", "1"]) == 0
    G = saved(tmp_path / "same", {}).eval()
    with torch.no_grad():
        expected = shown(G(official_latents([5], 8)), straight=True)[0]
    assert (read_rgba(tmp_path / "imported/000005.png") - expected).abs().max() < 0.6 / 255


def test_a_class_and_a_walk(folders, tmp_path, capsys):
    base = ["sample", str(folders / "classes"), "-o", str(tmp_path), "--psi", "1", "--seeds", "1-2"]
    assert main([*base, "--class", "2"]) == 0
    G = saved(tmp_path / "same", {}, c_dim=3).eval()
    expected = sample(G, [2], [1.0], label=[0, 0, 1])[0]
    assert (read_rgba(tmp_path / "classes/000002.png") - expected).abs().max() < 0.6 / 255
    assert main([*base, "--class", "1", "--walk", "walk.webp", "--frames", "2"]) == 0
    assert "4 frames at psi 1.0 in" in capsys.readouterr().out
    assert (tmp_path / "classes/walk.webp").stat().st_size > 100


def test_a_generator_is_measured(folders, capsys):
    command = ["measure", str(folders / "own"), "--against", str(folders / "pool"), "--count", "12"]
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["real"], printed["count"], printed["features"]) == (12, 12, "pixels")
    assert printed["precision"] == printed["recall"] == 0  # white squares are unlike an untrained G
    assert printed["frechet"] > 1
    assert printed["kid"] > 0
    assert printed["ppl"] > 0
    assert min(printed["eqt"], printed["eqt_frac"]) > printed["eqr"] > 0
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == printed
    assert main([*command, "--metrics", "frechet,kid", "--halves", "8", "--json"]) == 0
    halved = json.loads(capsys.readouterr().out)
    assert halved["frechet"] == printed["frechet"]
    assert 0 < halved["frechet_error"] < halved["frechet"]
    assert 0 < halved["kid_error"] < halved["kid"]
    assert main([*command, "--metrics", "kid", "--halves", "8"]) == 0
    table = capsys.readouterr().out
    assert "12 pictures against 12 of" in table
    assert "kernel" in table
    assert " ± " in table
    assert "FID" not in table
    assert "KID" not in table


def test_cut_outs_are_measured_part_by_part(folders, capsys):
    """White squares with hard edges in the pool: the untrained generator's alphas are far off in every way."""
    command = ["measure", str(folders / "own"), "--against", str(folders / "pool"), "--count", "12"]
    command += ["--metrics", "cutout", "--resamples", "5"]
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    names = [f"frechet_{part}" for part in ("composite", "rgb", "alpha")]
    names += ["band", *(f"band_{name}" for name in ("area", "soft", "width", "strand", "holes"))]
    assert {*names, *(f"{name}_error" for name in names)} <= set(printed)
    assert printed["frechet_alpha"] > 3 * printed["frechet_alpha_error"] > 0
    assert printed["band_soft"] > 0
    assert main(command) == 0
    table = capsys.readouterr().out
    assert "transition" in table
    assert "FID" not in table
    measured = {"frechet": 2.0, "kid": 0.1}
    _print({"generator": "g", "against": "r", "real": 9, "count": 9, "seed": 0, "features": "inception"}, measured, FID)
    assert "FID" in capsys.readouterr().out


def test_a_generator_against_its_own_pictures_is_near(folders, tmp_path, capsys):
    assert main(["sample", str(folders / "own"), "-o", str(tmp_path), "--seeds", "1-64", "--psi", "1"]) == 0
    (tmp_path / "own/sheet.png").unlink()
    capsys.readouterr()
    against = ["--against", str(tmp_path / "own"), "--count", "64", "--metrics", "frechet,kid,pr", "--json"]
    assert main(["measure", str(folders / "own"), *against]) == 0
    near = json.loads(capsys.readouterr().out)
    assert main(["measure", str(folders / "own"), "--against", str(folders / "pool"), *against[2:]]) == 0
    far = json.loads(capsys.readouterr().out)
    assert near["frechet"] < 0.1 * far["frechet"]
    assert near["precision"] > 0.6
    assert near["recall"] > 0.6


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("sample classes -o out", 2, "the generator is conditional: give --class 0 to 2"),
        ("sample classes -o out --class 3", 2, "--class 3: the generator has classes 0 to 2"),
        ("sample own -o out --class 0", 2, "--class 0: the generator has no classes"),
        ("sample own -o out --cutoff 99", 2, "--cutoff 99: the generator has 8 layers"),
        ("sample own -o out --translate 1", 2, "--translate 1: expected x,y in picture widths"),
        ("sample own -o out --grid big", 2, "--grid big: expected columns x rows"),
        ("sample own -o out --seeds 1-3,2", 2, "names a seed twice"),
        ("sample own -o out --walk walk.mp4", 2, "expected a name that ends in .webp or .png"),
        ("sample own -o out --walk walk.webp --seeds 1-3 --grid 2x1", 2, "give 2 or more for each of 2 cells"),
        ("sample own -o out --walk w.webp --seeds 1-450 --grid 15x15 --frames 5000", 2, "are 9 GiB, at most 8: give"),
        ("measure own --metrics frechet", 2, "is measured against real pictures, give --against"),
        ("measure own --metrics fit", 2, "no metric 'fit'; there are frechet, kid, pr, cutout, ppl, eq"),
        ("measure own --halves 1", 2, "--halves 1: expected 2 to 9999, or 0 for none"),
        ("measure own --resamples 1", 2, "--resamples 1: expected 2 to 9999, or 0 for none"),
        ("measure own --count 2", 2, "--count 2: expected 6 to 1000000"),
        ("measure pool", 3, "no generator there"),
        ("measure classes", 3, "a conditional generator (3 classes), which is not measured yet"),
        ("measure own --against large", 3, "pictures of 64 x 64, expected 32 x 32"),
        ("measure own --against nowhere", 3, "no such folder or ZIP file"),
        ("measure own --against pool --features nowhere", 3, "no such file or folder; give pixels"),
        ("measure own --against pool --features pool/0.png", 2, "whose weights? give --network NAME"),
    ],
)
def test_refusals(folders, capsys, monkeypatch, command, code, words):
    monkeypatch.chdir(folders)
    assert main(command.split()) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (folders / "out").exists()


def test_features_of_a_backbone_from_a_file(folders, tmp_path, capsys):
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "weights.safetensors")
    command = ["measure", str(folders / "own"), "--against", str(folders / "pool"), "--count", "6", "--metrics", "kid"]
    assert main([*command, "--features", str(tmp_path / "weights.safetensors"), "--network", "resnet10t"]) == 0
    assert "features: resnet10t " in capsys.readouterr().out
