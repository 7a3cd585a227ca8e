"""Tests run on one thread each, and the end of a run names the recorded values that were not at hand.

On a busy machine two OpenMP threads wait for each other longer than they work.
"""

import os

from tests.fixture_files import MISSING

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def pytest_terminal_summary(terminalreporter):
    """One line instead of skips here and there: what was not tested, and where it would have to lie."""
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    names = [reason.partition(MISSING)[2] for reason in reasons if MISSING in reason]
    if names:
        where = ", ".join(f"../shared/{name}" for name in sorted(set(names)))
        terminalreporter.write_line(f"{len(names)} tests had no pictures or recorded values; they read {where}")
