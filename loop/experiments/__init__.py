"""Questions asked of the loop as sets of ordinary runs, arms x seeds: `loop.experiments.run("without-alpha")`.

A question is one file in `loop.experiments.questions`; `execute` makes its runs and goes on where it was stopped,
`summary` and `tables` say what they found.
"""

from loop.experiments.execute import run
from loop.experiments.experiment import Experiment
from loop.experiments.registry import experiments, named

__all__ = ["Experiment", "experiments", "named", "run"]
