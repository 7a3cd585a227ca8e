"""What every test shares: one thread each, annotations that are executed, and what a run says at its end.

On a busy machine two OpenMP threads wait for each other longer than they work. Modules of CHECKED are imported with
their functions decorated (jaxtyping's import hook, beartype): an argument or result whose type or shape is not what
the signature says raises jaxtyping.TypeCheckError. Outside the tests annotations are text and cost nothing. The end of
a run names the recorded values that were not at hand.
"""

import os
from collections.abc import Iterator
from typing import Any

from tests.fixture_files import MISSING

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import jaxtyping  # noqa: E402 (loads NumPy, which reads the variables)
import pytest  # noqa: E402

CHECKED = (
    *("stylematte.networks", "stylematte.losses", "stylematte.ops", "stylematte.metrics"),
    *("stylemattegan.networks", "stylemattegan.training.losses", "stylemattegan.ops.bias_act"),
    *("stylemattegan.ops.filters", "stylemattegan.ops.geometry", "stylemattegan.ops.modulated_conv"),
    *("stylemattegan.ops.upfirdn2d", "stylemattegan.ops.upfirdn2d_torch", "stylemattegan.ops.compiled"),
    *("stylemattegan.ops.filtered_lrelu", "stylemattegan.ops.filtered_lrelu_torch"),
)
"""Packages and modules whose signatures are executed."""
jaxtyping.install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No checks inside: for tests that compile or export, where they would be traced along."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line instead of skips here and there: what was not tested, and where it would have to lie."""
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    names = [reason.partition(MISSING)[2] for reason in reasons if MISSING in reason]
    if names:
        where = ", ".join(f"../shared/{name}" for name in sorted(set(names)))
        terminalreporter.write_line(f"{len(names)} tests had no pictures or recorded values; they read {where}")
