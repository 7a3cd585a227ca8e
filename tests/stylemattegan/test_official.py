"""Official snapshots: every tensor and picture as recorded, in every protocol; nothing in a file is run."""

from __future__ import annotations

import collections
import os
import pickle
import random

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from stylematte.errors import WeightsError
from stylematte.untrusted.machine import Machine, Record
from stylemattegan.importing.official import read_snapshot
from tests.fixture_files import outside
from tests.stylemattegan.recorded import about, state_of
from tests.stylemattegan.snapshots import EasyDict, networks, official, tree_of, write_snapshot


@pytest.mark.parametrize("file", sorted(about("pkl")["files"]))
def test_recorded_snapshot(file):
    folder = outside("fixtures/stylegan3/pkl")
    found, t = read_snapshot(folder / file), load_file(folder / "expected.safetensors")
    for name in ("G_ema", "D"):
        state = getattr(found, name).state_dict()
        expected = state_of(t, f"{name}.")
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[key], value) for key, value in expected.items())
    pictures = {
        "img_G": found.G(t["z"], t["c"]),
        "img_G_ema": found.G_ema(t["z"], t["c"]),
        "img_G_ema_psi0_5": found.G_ema(t["z"], t["c"], psi=0.5),
        "D_logits": found.D(t["D_in"], t["D_c"]),
    }
    for name, actual in pictures.items():
        torch.testing.assert_close(actual, t[name], rtol=0, atol=1e-4 * float(t[name].abs().max()))
    assert found.meta == {"resolution": 32, "channels": 3, "augment_p": pytest.approx(float(t["augment_p"]))}
    assert not any(p.requires_grad for p in found.G_ema.parameters())
    assert found.G.training
    assert not found.G_ema.training


R = dict(conv_kernel=1, use_radial_filters=True)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(("channels", "changes"), [(4, {}), (3, R), (4, {"c_dim": 3})], ids=["T", "R", "conditional"])
def test_networks_come_back_from_every_protocol(tmp_path, protocol, channels, changes):
    made = networks(channels, **changes)
    found = read_snapshot(write_snapshot(tmp_path / "a.pkl", tree_of(*made), protocol))
    for name, network in zip(("G", "D", "G_ema"), made, strict=True):
        got = getattr(found, name)
        assert got.config == network.config
        assert all(torch.equal(v, network.state_dict()[k]) for k, v in got.state_dict().items())


def test_a_fork_with_fixed_channels_and_a_further_judge(tmp_path):
    """The arguments say 3 channels, the weights have 4; D holds a network of classes that nobody here has."""
    tree = tree_of(*networks(4))
    for name in ("G", "D", "G_ema"):
        tree[name].meta["state"]["_init_kwargs"]["img_channels"] = 3
    further = official(nn.Sequential(nn.Conv2d(3, 2, 1)), name="vision_aided_loss.cv_discriminator.Discriminator")
    tree["D"].meta["state"]["_modules"]["cv_ensemble"] = further
    tree["D_aux"] = collections.Counter("of classes that are named only")
    found = read_snapshot(write_snapshot(tmp_path / "a.pkl", tree))
    assert found.G.img_channels == found.D.img_channels == 4


class Touch:
    """What a hostile pickle does where it is loaded."""

    def __init__(self, function, *words):
        self.call = function, words

    def __reduce__(self):
        return self.call


HOSTILE = [
    (os.system, ("touch ran",), "posix.system"),
    (eval, ("open('ran', 'w')",), "builtins.eval"),
    (exec, ("open('ran', 'w')",), "builtins.exec"),
    (__import__, ("os",), "builtins.__import__"),
    (open, ("ran", "w"), "io.open"),
    (pickle.loads, (b"",), "_pickle.loads"),
]


@pytest.mark.parametrize(("function", "words", "named"), HOSTILE, ids=[named for *_, named in HOSTILE])
def test_what_a_snapshot_need_not_name_is_refused_and_not_run(tmp_path, monkeypatch, function, words, named):
    monkeypatch.chdir(tmp_path)
    tree = tree_of(*networks()) | {"training_set_kwargs": Touch(function, *words)}
    write_snapshot(tmp_path / "a.pkl", tree)
    with pytest.raises(WeightsError, match=rf"a\.pkl: names {named}, .* nothing of it was run") as caught:
        read_snapshot(tmp_path / "a.pkl")
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pkl"]


def test_the_program_text_inside_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = tree_of(*networks(), source="open('ran', 'w').close()\n")
    read_snapshot(write_snapshot(tmp_path / "a.pkl", tree))
    assert [file.name for file in tmp_path.iterdir()] == ["a.pkl"]


def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path):
    """Bytes changed at random: never another error, never a file beside it."""
    data = write_snapshot(tmp_path / "a.pkl", tree_of(*networks())).read_bytes()
    refused = []
    for seed in range(24):
        order = random.Random(seed)
        damaged = bytearray(data)
        for _ in range(order.choice([1, 3, 20])):
            damaged[order.randrange(len(data))] = order.randrange(256)
        (tmp_path / "a.pkl").write_bytes(damaged)
        try:
            read_snapshot(tmp_path / "a.pkl")
        except WeightsError as error:
            refused.append(str(error))
    assert len(refused) > 12
    assert not any("\n" in line for line in refused)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pkl"]


def test_every_name_is_a_record_and_no_module_is_imported(tmp_path):
    """A name of an installed, harmless package: the file's wish is noted, the package is not even looked at."""
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02crich.console\nConsole\n(K\x07tR}(U\x01aK\x01ub.")
    found = Machine(memoryview((tmp_path / "a.pkl").read_bytes())).run()
    assert isinstance(found, Record)
    assert (found.origin, found.args, found.state) == ("rich.console.Console", (7,), {"a": 1})


def changed(change):
    """Writes a snapshot in which one thing is otherwise."""

    def make(path):
        tree = tree_of(*networks())
        change(tree)
        return write_snapshot(path, tree)

    return make


def _grey(path):
    return write_snapshot(path, tree_of(*networks(1)))


def _stylegan2(tree):
    state = tree["G"].meta["state"]["_modules"]["synthesis"].meta["state"]
    state["_modules"] = collections.OrderedDict((f"b{r}", official(nn.Conv2d(1, 1, 1))) for r in (4, 8, 16))


def _sized(tree):
    tree["G"].meta["state"]["_modules"]["mapping"].meta["state"]["_buffers"]["w_avg"] = torch.zeros(9)


def _torch_save(path):
    torch.save({"G": torch.zeros(2)}, path)
    return path


def _cut(path):
    write_snapshot(path, tree_of(*networks()))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _tensorflow(path):
    """(G, D, Gs) of the first StyleGAN2 code."""
    path.write_bytes(b"\x80\x02cdnnlib.tflib.network\nNetwork\n)\x81cdnnlib.tflib.network\nNetwork\n)\x81\x86.")
    return path


def _text(path):
    path.write_text("<html>404</html>")
    return path


def _folder(path):
    path.mkdir()
    return path


def _beyond(tree):
    """A tensor that claims more numbers than its bytes hold."""
    function, (storage, *_) = torch.zeros(4).__reduce_ex__(4)
    claimed = Touch(function, storage, 0, (2**40,), (1,), False, collections.OrderedDict())
    tree["G"].meta["state"]["_buffers"]["x"] = claimed


def _relu(tree):
    tree["D"].meta["state"]["_init_kwargs"].update(block_kwargs=EasyDict(activation="relu"))


def _noisy(tree):
    tree["D"].meta["state"]["_init_kwargs"].update(disc_c_noise=1)


def _positional(tree):
    tree["G"].meta["state"]["_init_args"] = 3


def _more(tree):
    tree["G"].meta["state"]["_parameters"].update(more=nn.Parameter(torch.ones(1)))


BAD = {
    "cut": (_cut, "cannot be read as a pickle, perhaps truncated"),
    "text": (_text, "not a pickle of protocol 2 or later"),
    "torch": (_torch_save, "a zip archive"),
    "folder": (_folder, "a folder; expected a file"),
    "none": (lambda path: path, "no such file"),
    "tuple": (lambda path: write_snapshot(path, ("dnnlib", 1)), "holds a tuple where a dictionary was expected"),
    "tensorflow": (_tensorflow, "a StyleGAN2 snapshot of the TensorFlow code; expected StyleGAN3"),
    "state": (changed(lambda tree: tree["G"].meta.update(state=3)), "holds a int where a dictionary was expected"),
    "layout": (changed(_positional), "not laid out as a snapshot of the official code"),
    "empty": (lambda path: write_snapshot(path, {"a": 1}), "holds no G, no D, no G_ema; expected a snapshot"),
    "grey": (_grey, "makes pictures of 1 channels; expected 3 .RGB. or 4 .RGBA."),
    "beyond": (changed(_beyond), "holds a tensor that cannot be read"),
    "sg2": (changed(_stylegan2), "a StyleGAN2 generator .its blocks are b4, b8, b16 ....; expected StyleGAN3"),
    "no D": (changed(lambda tree: tree.pop("D")), "holds no D; expected"),
    "size": (changed(_sized), r"G.mapping.w_avg has shape \(9,\), expected \(8,\)"),
    "argument": (changed(_noisy), "D cannot be built: .*disc_c_noise"),
    "inner": (changed(_relu), "its discriminator was built with block_kwargs.activation='relu', which ours has not"),
    "unknown": (changed(_more), "G has an unknown more"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path, make, message):
    path = make(tmp_path / "a.pkl")
    with pytest.raises(WeightsError, match=message) as caught:
        read_snapshot(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
