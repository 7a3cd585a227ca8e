"""The configuration of `stylematte build-dataset`: a YAML file, or words, as checked dataclasses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stylematte.errors import ConfigError
from stylematte.fields import from_plain, impossible, ranged
from stylematte.generators.ingest import IngestRules
from stylematte.refine.rules import RefineRules


@dataclass
class SourceConfig:
    generator: str = "directory"
    """A name that `stylematte build-dataset --generators` lists."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of the generator, for example {folder: photos}."""
    first: int = ranged(0, 0)
    """The position (seed) of its first sample."""
    candidates: int | None = ranged(None, 1)
    """Look at so many at most; null = all of a generator that ends, 10 x count of one that does not."""
    prompts: dict[str, Any] = field(default_factory=dict)
    """Of a generator that takes prompts: {template: ..., axes: {hair: [...], ...}, seed: 0}; {} = the built-in grid."""


@dataclass
class DatasetConfig:
    name: str = "dataset"
    """Letters, digits, - and _."""
    out: str = ""
    """Its folder."""
    subject: str = "portrait"
    """Of the manifest."""
    source: SourceConfig = field(default_factory=SourceConfig)
    count: int = ranged(1000, 1)
    """Pairs that are wanted; a generator that ends earlier gives fewer."""
    validation: float = ranged(0.05, 0, 0.9)
    """Share of the split val, by the names alone."""
    seed: int = 0
    """Of the split."""
    size: int | None = ranged(None, 16)
    """Frame each cut-out about its subject, size x size; null = as the generator gives it."""
    bits: int = 8
    """Of a number in the pictures: 8 or 16."""
    refine: bool = True
    """Clean each alpha by the connectivity prior, and refuse what it refuses."""
    refinement: RefineRules = field(default_factory=RefineRules)
    """When a refined alpha is accepted."""
    near_duplicates: int = ranged(6, 0, 32)
    """Entries that differ in at most so many of 128 bits are one."""
    per_shard: int = ranged(1000, 1)
    """Candidates of one shard: what is made again after a kill."""
    form: str = "files"
    """files: train/fg, train/alpha, val/fg, val/alpha. shards: train/NNNNNN.tar, val/NNNNNN.tar."""
    ingest: IngestRules = field(default_factory=IngestRules)

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        if not self.out:
            yield "out=: expected a folder for the data set"
        if self.bits not in (8, 16):
            yield f"bits={self.bits}: expected 8 or 16"
        if self.form not in ("files", "shards"):
            yield f"form={self.form}: expected files or shards"
        if not self.name.replace("-", "").replace("_", "").isalnum():
            yield f"name={self.name}: expected letters, digits, - and _"


def load_dataset_config(path: Path, words: Sequence[str] = ()) -> DatasetConfig:
    """A YAML file and key=value words (a.b=c goes down) -> a checked configuration. Raises ConfigError."""
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(plain, dict):
        raise ConfigError(f"{path}: expected keys and values, for example count: 1000")
    for word in words:
        _set(plain, word)
    try:
        config = from_plain(DatasetConfig, plain)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    wrong = list(impossible(config))
    if wrong:
        raise ConfigError("\n".join(wrong))
    return config


def _set(plain: dict[str, Any], word: str) -> None:
    name, equals, text = word.partition("=")
    if not equals or not name:
        raise ConfigError(f"'{word}': expected key=value")
    *folders, last = name.split(".")
    here = plain
    for folder in folders:
        here = here.setdefault(folder, {})
        if not isinstance(here, dict):
            raise ConfigError(f"'{word}': {folder} has no keys")
    here[last] = yaml.safe_load(text)
