"""From a YAML file and key=value words to a checked `Config`.

Order: schema defaults, what the file `extends`, the file, the words of the command line. Every problem found is
reported, one line each, before any work starts.
"""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from loop.config.checks import impossible_values
from loop.config.schema import Config
from stylematte.config import PUBLISHED, VARIANTS, variant
from stylematte.errors import ConfigError
from stylematte.fields import to_plain
from stylematte.sealed import check_seal, sealed

SHIPPED = Path(__file__).parents[1] / "_configs"
"""Where a wheel carries the folder configs."""
CONFIGS = "configs"
REPOSITORY = Path(__file__).parents[2] / CONFIGS
"""The same in a checkout."""
VARIANT = "matter.network.variant"
WHOLE = (
    "data.domains",
    "data.learn_from",
    "generator.init_from",
    "matter.network.backbone.kwargs",
    "generator.composite_discriminator.backbone.kwargs",
)
"""Mappings with keys of the user's own: given, they replace what was there; their single keys can be set, too."""


REMOVED = {
    "matter.later.unlabelled_share": "use matter.later.roads.trimaps, a relative weight beside roads.pairs: 1",
}
"""Keys that older configurations have, off at 0, and what to do about them."""


def load_config(path: Path, overrides: Sequence[str] = (), check: bool = True) -> Config:
    """The configuration in `path` with `key=value` overrides applied, paths of data and weights made absolute.

    check=False accepts values that cannot work here any more (a data folder that was moved away), for verbs that only
    read a finished run. Raises ConfigError.
    """
    problems: list[str] = []
    asked: set[str] = set()  # keys that a file gives as ???, for the user to fill in
    merged: DictConfig = OmegaConf.structured(Config)
    for source, tree in _layers(path):
        leaves = _variant_first(_leaves(tree))
        problems += [f"{source}: {problem}" for problem in _merge(merged, leaves)]
        for key, value in leaves:
            (asked.add if value == "???" else asked.discard)(key)
    for word in sorted(overrides, key=lambda word: not word.startswith(f"{VARIANT}=")):
        key, equals, _ = word.partition("=")
        if not equals:
            problems.append(f"'{word}': expected key=value, for example run.rounds=3")
            continue
        try:
            given = OmegaConf.to_container(OmegaConf.from_dotlist([word]))
        except (OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
            problems.append(f"'{word}': {str(error).splitlines()[0]}")
            continue
        # data.domains.x=y sets one key of a mapping that data.domains={x: y} replaces.
        for leaf, value in _leaves(given, whole=WHOLE if key in WHOLE else ()):
            problem = _merge_one(merged, leaf, value)
            if problem:
                problems.append(problem)
            asked.discard(leaf)
    problems += [f"{key}: {path} leaves it to you; add {key}=... to the command" for key in sorted(asked)]
    if not problems:
        try:
            config = OmegaConf.to_object(merged)
        except OmegaConfBaseException as error:  # ${...} that leads nowhere, or to what cannot be there
            raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from None
        assert isinstance(config, Config)
        problems = impossible_values(config) if check else []
        if not problems:
            return _absolute(config)
    raise ConfigError("\n".join(problems))


def _absolute(config: Config) -> Config:
    """So that a run can be gone on with from any folder."""
    backbones = (
        (backbone, "weights")
        for backbone in (config.matter.network.backbone, config.generator.composite_discriminator.backbone)
    )
    for section, key in (
        (config.data, "root"),
        (config.data, "backgrounds"),
        *((root, "root") for root in config.data.roots),
        (config.matter, "init_from"),
        *backbones,
    ):
        value = getattr(section, key)
        if value is not None and (key, value) != ("weights", PUBLISHED):
            setattr(section, key, str(Path(value).expanduser().resolve()))
    config.run.dir = os.path.expanduser(config.run.dir)
    given = config.generator.init_from
    config.generator.init_from = {domain: str(_or_shipped(path)) for domain, path in given.items()}
    return config


def _or_shipped(path: str) -> Path:
    """A folder such as configs/start/portraits, or what an installed copy carries under that name."""
    here = Path(path).expanduser()
    if not here.exists() and here.parts[:1] == (CONFIGS,):
        for folder in (SHIPPED, REPOSITORY):
            if (own := folder.joinpath(*here.parts[1:])).exists():
                return own.resolve()
    return here.resolve()


def to_yaml(config: Config) -> str:
    """As resolved: every default written out; `load_config` reads it back to an equal Config, or finds it damaged."""
    return sealed(yaml.safe_dump(to_plain(config), sort_keys=False))


def _layers(path: Path, seen: tuple[Path, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.exists() and (SHIPPED / path.name).is_file():
        path = SHIPPED / path.name  # an installed copy without the repository around it
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder, expected a YAML file such as configs/quickstart.yaml")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.yaml")], n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise ConfigError(f"{path}: no such file{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error})") from None
    try:
        check_seal(text)
    except ValueError as error:
        raise ConfigError(f"{path} {error}") from None
    try:
        tree = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))
    except (yaml.YAMLError, OmegaConfBaseException, OSError) as error:
        where = getattr(error, "problem_mark", None)
        place = f" at line {where.line + 1}" if where else ""
        raise ConfigError(f"{path}: not valid YAML{place} ({str(error).splitlines()[0]})") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of sections (run:, data:, matter: ...)")
    extended = tree.pop("extends", None)
    if extended is not None:
        parent = (path.parent / str(extended)).resolve()
        if parent in seen:
            raise ConfigError(f"{path}: extends itself through {parent}")
        yield from _layers(parent, (*seen, path.resolve()))
    yield str(path), {str(key): value for key, value in tree.items()}


def _leaves(tree: Any, prefix: str = "", whole: Sequence[str] = WHOLE) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and name not in whole:
            yield from _leaves(value, f"{name}.", whole)
        else:
            yield name, value


def _merge(config: DictConfig, leaves: Sequence[tuple[str, Any]]) -> list[str]:
    """Set all leaves; a line for each problem. Plain ones go together: one merge takes as long as one leaf's."""
    plain = [(key, value) for key, value in leaves if _is_plain(key, value)]
    problems = [_merge_one(config, key, value) for key, value in leaves if not _is_plain(key, value)]
    try:
        config.merge_with(_nested(plain))
    except (OmegaConfBaseException, AttributeError, TypeError):  # which one: again, one by one
        problems += [_merge_one(config, key, value) for key, value in plain]
    return [problem for problem in problems if problem]


def _nested(leaves: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Raises AttributeError or TypeError where one leaf lies below another."""
    tree: dict[str, Any] = {}
    for key, value in leaves:
        *above, last = key.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


def _is_plain(key: str, value: Any) -> bool:
    return isinstance(value, (bool, int, float, str)) and key != VARIANT and key not in REMOVED


def _merge_one(config: DictConfig, key: str, value: Any) -> str | None:
    """Set one leaf; the problem as a line, or None."""
    if key == "data.root" and isinstance(value, list):
        key, value = "data.roots", [each if isinstance(each, dict) else {"root": each} for each in value]
        config.merge_with({"data": {"root": None}})
    elif key == "data.root" and value is not None:
        config.merge_with({"data": {"roots": []}})  # the last layer that names roots has its way
    if key == VARIANT:
        return _choose_variant(config, str(value))
    if key in REMOVED:  # run folders have every key written out: at 0 it did nothing, and they stay readable
        return f"{key}={value}: this key is gone; {REMOVED[key]}" if value else None
    section = OmegaConf.select(config, key, default=None)
    if key in WHOLE and isinstance(value, dict):
        section.clear()
    elif isinstance(section, DictConfig) and not value and not isinstance(value, bool):
        return None  # `section: {}` or an empty `section:` in YAML changes nothing
    node: Any = value
    for part in reversed(key.split(".")):
        node = {part: node}
    try:
        config.merge_with(node)
    except OmegaConfBaseException as error:
        return f"{key}={value}: {_one_line(str(error), key)}"
    return None


def _variant_first(leaves: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """It decides which other keys of matter.network there are, wherever it stands in the file."""
    return sorted(leaves, key=lambda leaf: leaf[0] != VARIANT)


def _choose_variant(config: DictConfig, name: str) -> str | None:
    """Give matter.network the keys of that variant; what the one before had by the same name keeps its value."""
    try:
        options = variant(name).options
    except ValueError as error:
        return f"{VARIANT}={name}: {error}"
    before = OmegaConf.to_container(config.matter.network)
    assert isinstance(before, dict)
    names = {item.name for item in fields(options)} - {"variant"}
    config.matter.network = OmegaConf.structured(options)
    config.matter.network.merge_with({key: value for key, value in before.items() if key in names})
    return None


def _one_line(message: str, key: str) -> str:
    first = message.splitlines()[0].rstrip(".")
    last = key.rsplit(".", 1)[-1]
    owners = [name for name, each in VARIANTS.items() if last in {item.name for item in fields(each.options)}]
    if key == f"matter.network.{last}" and owners and first.startswith("Key "):
        return f"{first.partition('. Did you')[0]}. It belongs to {VARIANT}={' or '.join(owners)}"
    if "Did you mean" in first or not first.startswith("Key "):
        return first
    names = [name for name, _ in _leaves(to_plain(Config()))]
    same = [name for name in names if name.rsplit(".", 1)[-1] == last]
    near = same or difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    return f"{first}. Did you mean: '{near[0]}'?" if near else first
