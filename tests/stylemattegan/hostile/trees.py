"""Snapshots that are sound but for one thing: a tensor, an argument, a module or a name. Each changes a tree."""

from __future__ import annotations

import collections
import functools
import io
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tests.stylemattegan.snapshots import EasyDict, Persistent, networks, official, official_modules, tree_of

Tree = dict[str, Any]
ODD_NAMES = {
    "newline": "a\nstylematte: imported, all is well",
    "carriage-return": "a\rstylematte: imported, all is well",
    "ansi": "\x1b[2J\x1b[32mok\x1b[0m",
    "right-to-left": "\u202egnp.exe\u2066",
    "nul": "a\x00b",
    "surrogate": "\ud800",
    "line-separator": "a\u2028b\x85c",
    "bell-and-backspaces": "\x07" + "\x08" * 40,
    "megabyte": "x" * 2**20,
    "percent-and-braces": "{0.__class__} %s %n",
}


@functools.cache
def made() -> tuple[Any, ...]:
    return networks()


def fresh() -> Tree:
    return tree_of(*made())


def dumped(tree: Any, protocol: int = 4) -> bytes:
    with official_modules():
        return pickle.dumps(tree, protocol)


@functools.cache
def good(protocol: int = 4) -> bytes:
    return dumped(fresh(), protocol)


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def state(tree: Tree, *path: str) -> dict[str, Any]:
    """The attributes of a network or of one inside it."""
    found = tree[path[0]].meta["state"]
    for name in path[1:]:
        found = found["_modules"][name].meta["state"]
    return found


def arguments(tree: Tree, name: str) -> dict[str, Any]:
    return state(tree, name)["_init_kwargs"]


# --- tensors


def w_avg(value: Any) -> Callable[[Tree], None]:
    """In place of G's centre of truncation, 8 numbers."""
    return lambda tree: state(tree, "G", "mapping")["_buffers"].update(w_avg=value())


def laid(offset: Any, size: Any, stride: Any, numbers: int = 8, *more: Any) -> Callable[[Tree], None]:
    def value() -> Call:
        function, (storage, *_) = torch.ones(numbers).__reduce_ex__(4)
        return Call(function, storage, offset, size, stride, False, collections.OrderedDict(), *more)

    return w_avg(value)


def of_bytes(change: Callable[[bytes], bytes]) -> Callable[[Tree], None]:
    """G's centre of truncation, with the little file of its storage changed."""

    def value() -> Call:
        function, (storage, *rest) = torch.ones(8).__reduce_ex__(4)
        load, (raw,) = storage.__reduce__()
        return Call(function, Call(load, change(raw)), *rest)

    return w_avg(value)


def deep_parameter() -> Any:
    value: Any = torch.ones(8)
    for _ in range(200):
        value = Call(torch._utils._rebuild_parameter, value, True, collections.OrderedDict())
    return value


def bomb() -> bytes:
    """50 MB in 50 kB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 * 2**20))
    return file.getvalue()


def shared_bytes(tree: Tree) -> None:
    """A megabyte that five hundred parameters share."""
    one = torch.zeros(2**18)
    state(tree, "G", "mapping")["_parameters"].update({f"p{i}": one for i in range(500)})


def many_parameters(tree: Tree) -> None:
    one = torch.zeros(1)
    state(tree, "G", "mapping")["_parameters"].update({f"p{i}": one for i in range(MANY)})


MANY = 40_000
TENSORS: dict[str, Callable[[Tree], None]] = {
    "stride-zero": laid(0, (2**40,), (0,)),
    "stride-zero-small": laid(0, (8,), (0,)),
    "stride-negative": laid(7, (8,), (-1,)),
    "stride-overlapping": laid(0, (2, 4), (1, 1)),
    "stride-huge": laid(0, (8,), (2**62,)),
    "offset-beyond": laid(8, (8,), (1,)),
    "offset-huge": laid(2**63, (8,), (1,)),
    "offset-negative": laid(-1, (8,), (1,)),
    "offset-is-a-word": laid("0", (8,), (1,)),
    "size-beyond": laid(0, (2**40,), (1,)),
    "size-overflows": laid(0, (2**32, 2**32), (2**32, 1)),
    "size-wraps-to-eight": laid(0, (2**61, 2**3, 2**3), (1, 1, 1)),
    "size-zero-times-huge": laid(0, (0, 2**62), (1, 1)),
    "size-negative": laid(0, (-8,), (1,)),
    "size-a-fraction": laid(0, (8.0,), (1,)),
    "size-true": laid(0, (True,), (1,)),
    "size-a-list": laid(0, [8], (1,)),
    "size-and-stride-differ": laid(0, (8,), (1, 1)),
    "thousand-axes": laid(0, (1,) * 1000, (1,) * 1000),
    "conjugate": laid(0, (8,), (1,), 8, {"neg": True}),
    "no-arguments": w_avg(lambda: Call(torch._utils._rebuild_tensor_v2)),
    "parameter-of-parameters": w_avg(deep_parameter),
    "complex": w_avg(lambda: torch.ones(8, dtype=torch.complex64)),
    "quantized": of_bytes(lambda raw: raw.replace(b"FloatStorage", b"QInt8Storage")),
    "bool": w_avg(lambda: torch.ones(8, dtype=torch.bool)),
    "int64": w_avg(lambda: torch.ones(8, dtype=torch.int64)),
    "not-a-number": w_avg(lambda: torch.full([8], torch.nan)),
    "infinite": w_avg(lambda: torch.full([8], torch.inf)),
    "infinite-both-ways": w_avg(lambda: torch.tensor([torch.inf, -torch.inf] * 4)),
    "half-infinite": w_avg(lambda: torch.full([8], torch.inf).half()),
    "double-beyond-float": w_avg(lambda: torch.full([8], 1e300, dtype=torch.float64)),
    "sparse": w_avg(lambda: torch.ones(8).to_sparse()),
    "a-word": w_avg(lambda: "w_avg"),
    "a-number": w_avg(lambda: 1.0),
    "none": w_avg(lambda: None),
    "bytes-cut": of_bytes(lambda raw: raw[:-4]),
    "bytes-none": of_bytes(lambda raw: b""),
    "bytes-zeros": of_bytes(lambda raw: bytes(2**20)),
    "bytes-a-zip-bomb": of_bytes(lambda raw: bomb()),
    "bytes-of-a-program": of_bytes(lambda raw: b"\x80\x02cos\nsystem\nX\x0c\x00\x00\x00touch canary\x85R."),
    "bytes-of-deep-tuples": of_bytes(lambda raw: b"\x80\x02)" + b"\x85" * 500_000 + b"."),
    "bytes-claim-more": of_bytes(lambda raw: raw[:-40] + b"\xff" * 8 + raw[-32:]),
    "bytes-of-another-type": of_bytes(lambda raw: raw.replace(b"FloatStorage", b"ShortStorage")),
    "bytes-of-no-type": of_bytes(lambda raw: raw.replace(b"FloatStorage", b"\xc3\xa9FloatStora")),
    "bytes-with-another-magic": of_bytes(lambda raw: raw.replace(bytes.fromhex("6cfc9c46f920"), bytes(6))),
    "shared-bytes": shared_bytes,
    "forty-thousand-parameters": many_parameters,
}


def magnitude(value: float) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        layer = next(name for name in state(tree, "G_ema", "synthesis")["_modules"] if name.startswith("L1"))
        state(tree, "G_ema", "synthesis", layer)["_buffers"]["magnitude_ema"] = torch.tensor(value)

    return change


TENSORS |= {f"running-mean-{value:g}": magnitude(value) for value in (0.0, -1.0, float("nan"))}

# --- arguments

ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "resolution-2^20": ("G", {"img_resolution": 2**20}),
    "resolution-2^20-of-D": ("D", {"img_resolution": 2**20}),
    "resolution-2^600": ("G", {"img_resolution": 2**600}),
    "resolution-negative": ("G", {"img_resolution": -16}),
    "resolution-0": ("D", {"img_resolution": 0}),
    "resolution-17": ("G", {"img_resolution": 17}),
    "resolution-a-word": ("G", {"img_resolution": "16"}),
    "resolution-a-fraction": ("G", {"img_resolution": 16.5}),
    "resolution-none": ("D", {"img_resolution": None}),
    "resolution-of-another": ("G", {"img_resolution": 32}),
    "layers-10^9": ("G", {"num_layers": 10**9}),
    "layers-200": ("G", {"num_layers": 200}),
    "layers-0": ("G", {"num_layers": 0}),
    "layers-negative": ("G", {"num_layers": -4}),
    "critical-10^9": ("G", {"num_critical": 10**9}),
    "channel-base-10^9": ("G", {"channel_base": 10**9, "channel_max": 10**9}),
    "channel-base-of-D-10^9": ("D", {"channel_base": 10**9, "channel_max": 10**9}),
    "channels-65536": ("G", {"channel_base": 2**24, "channel_max": 2**16}),
    "channel-base-nan": ("G", {"channel_base": float("nan")}),
    "channel-base-infinite": ("D", {"channel_base": float("inf")}),
    "channel-max-0": ("G", {"channel_max": 0}),
    "kernel-negative": ("G", {"conv_kernel": -3}),
    "kernel-10^9": ("G", {"conv_kernel": 10**9}),
    "filter-10^9": ("G", {"filter_size": 10**9}),
    "filter-negative": ("G", {"filter_size": -6}),
    "filter-radial-64": ("G", {"filter_size": 64, "use_radial_filters": True, "lrelu_upsampling": 16}),
    "margin-10^9": ("G", {"margin_size": 10**9}),
    "upsampling-10^9": ("G", {"lrelu_upsampling": 10**9}),
    "stopband-1e-300": ("G", {"first_stopband": 1e-300}),
    "stopband-rel-1e-300": ("G", {"last_stopband_rel": 1e-300}),
    "cutoff-0": ("G", {"first_cutoff": 0.0}),
    "z-10^9": ("G", {"z_dim": 10**9}),
    "w-65536": ("G", {"w_dim": 2**16}),
    "classes-10^9": ("G", {"c_dim": 10**9}),
    "classes-65536": ("D", {"c_dim": 2**16, "cmap_dim": 2**16}),
    "mapping-10^9": ("G", {"mapping_kwargs": EasyDict(num_layers=10**9)}),
    "beta-infinite": ("G", {"magnitude_ema_beta": float("inf")}),
    "beta-2": ("G", {"magnitude_ema_beta": 2.0}),
    "group-negative": ("D", {"epilogue_kwargs": EasyDict(mbstd_group_size=-4)}),
    "group-0": ("D", {"epilogue_kwargs": EasyDict(mbstd_group_size=0)}),
    "std-channels-10^9": ("D", {"epilogue_kwargs": EasyDict(mbstd_num_channels=10**9)}),
    "architecture-odd": ("D", {"architecture": "\x1b[31mresnet\n"}),
    "unknown": ("G", {"hook": "os.system"}),
    "keywords-a-list": ("G", {"mapping_kwargs": [1, 2]}),
    "positional-a-dict": ("G", {"_init_args": {}}),
}


def given(name: str, changes: dict[str, Any]) -> Callable[[Tree], None]:
    return lambda tree: arguments(tree, name).update(changes)


def laughing() -> list[Any]:
    value: list[Any] = ["ha"] * 10
    for _ in range(30):
        value = [value] * 10
    return value


def itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def deep() -> tuple[Any, ...]:
    value: tuple[Any, ...] = ()
    for _ in range(300):
        value = (value,)
    return value


VALUES: dict[str, Callable[[Tree], None]] = {}
for _kind, _value in {"laughing": laughing, "itself": itself, "deep": deep}.items():
    VALUES |= {
        f"argument-{_kind}": lambda tree, v=_value: arguments(tree, "G").update(z_dim=v()),
        f"inner-argument-{_kind}": lambda tree, v=_value: arguments(tree, "D").update(
            block_kwargs=EasyDict(activation=v())
        ),
        f"filter-{_kind}": lambda tree, v=_value: arguments(tree, "D").update(
            block_kwargs=EasyDict(resample_filter=v())
        ),
        f"class-name-{_kind}": lambda tree, v=_value: tree["G"].meta.update(class_name=v(), state=v()),
    }

# --- modules


def holds_itself(tree: Tree) -> None:
    mapping = state(tree, "G")["_modules"]["mapping"]
    mapping.meta["state"]["_modules"]["again"] = mapping


def hold_each_other(tree: Tree) -> None:
    first, second = (official(nn.Identity()) for _ in range(2))
    first.meta["state"]["_modules"]["b"], second.meta["state"]["_modules"]["a"] = second, first
    state(tree, "G")["_modules"]["a"] = first


def shared_modules(tree: Tree) -> None:
    """Each of fifteen holds the next one twenty times: 20^15 paths."""
    inner = official(nn.Identity())
    for _ in range(15):
        outer = official(nn.Identity())
        outer.meta["state"]["_modules"].update({f"m{i}": inner for i in range(20)})
        inner = outer
    state(tree, "G")["_modules"]["fan"] = inner


def chained(tree: Tree) -> None:
    inner = official(nn.Identity())
    for _ in range(80):
        outer = official(nn.Identity())
        outer.meta["state"]["_modules"]["inner"] = inner
        inner = outer
    state(tree, "G")["_modules"]["chain"] = inner


def shared_dictionary(tree: Tree) -> None:
    """A thousand modules with the same twenty thousand entries."""
    entries = {f"e{i}": None for i in range(20_000)}
    for i in range(1000):
        module = official(nn.Identity())
        module.meta["state"]["_buffers"] = entries
        state(tree, "G", "mapping")["_modules"][f"m{i}"] = module


def renamed(new: str, kind: str) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        if kind == "tensor":
            state(tree, "G", "mapping")["_buffers"][new] = torch.ones(1)
        elif kind == "module":
            state(tree, "G")["_modules"][new] = official(nn.Linear(1, 1))
        elif kind == "class":
            tree["G"].meta.update(class_name=new, state={"_modules": {"synthesis": official(nn.Identity())}})
        else:
            arguments(tree, "G")[new] = new

    return change


def pairs(value: Any) -> Callable[[Tree], None]:
    return lambda tree: state(tree, "G").update(_buffers=Call(collections.OrderedDict, value))


MODULES: dict[str, Callable[[Tree], None]] = {
    "module-of-itself": holds_itself,
    "modules-of-each-other": hold_each_other,
    "modules-shared": shared_modules,
    "modules-chained": chained,
    "dictionary-shared": shared_dictionary,
    "module-a-number": lambda tree: state(tree, "G")["_modules"].update(mapping=3),
    "modules-a-list": lambda tree: state(tree, "G").update(_modules=[1]),
    "parameters-a-tensor": lambda tree: state(tree, "G").update(_parameters=torch.ones(1)),
    "state-none": lambda tree: tree["G"].meta.update(state=None),
    "source-without-a-state": lambda tree: tree["G"].meta.pop("state"),
    "synthesis-none": lambda tree: state(tree, "G")["_modules"].update(synthesis=None),
    "keys-numbers": lambda tree: state(tree, "G").update(_modules={1: None, 2.5: None, (3,): None}),
    "pairs-of-three": pairs([(1, 2, 3)]),
    "pairs-of-words": pairs(["ab", "cd"]),
    "pairs-keyed-by-lists": pairs([(deep(), torch.ones(1)), ("a", laughing())]),
    "network-a-word": lambda tree: tree.update(G="G"),
    "network-of-another-kind": lambda tree: tree.update(G=tree["D"]),
    "G-for-D": lambda tree: tree.update(D=tree["G"]),
    "augment-p-nan": lambda tree: tree.update(
        augment_pipe=Persistent("AugmentPipe", {"_buffers": {"p": torch.tensor(float("nan"))}})
    ),
    "augment-p-many": lambda tree: tree.update(
        augment_pipe=Persistent("AugmentPipe", {"_buffers": {"p": torch.ones(2**20)}})
    ),
}
MODULES |= {
    f"{kind}-named-{name}": renamed(text, kind)
    for name, text in ODD_NAMES.items()
    for kind in ("tensor", "module", "class", "argument")
}


def changes() -> dict[str, Callable[[Tree], None]]:
    return {
        **{f"tensor-{name}": change for name, change in TENSORS.items()},
        **{f"argument-{name}": given(*change) for name, change in ARGUMENTS.items()},
        **VALUES,
        **MODULES,
    }
