"""All experiments by name. A file in `loop.experiments.questions` with an EXPERIMENT in it is one more of them."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from loop.experiments import questions
from loop.experiments.experiment import Experiment
from stylematte.errors import ConfigError


def experiments() -> dict[str, Experiment]:
    """Name -> experiment, in the order of their names."""
    found = {}
    for module in pkgutil.iter_modules(questions.__path__):
        experiment: Experiment = importlib.import_module(f"{questions.__name__}.{module.name}").EXPERIMENT
        found[experiment.name] = experiment
    return dict(sorted(found.items()))


def named(name: str) -> Experiment:
    """Raises ConfigError with the names there are."""
    known = experiments()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"no experiment '{name}', there are: {', '.join(known)}{hint}")
    return known[name]
