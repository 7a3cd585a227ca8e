"""Which exit code an error ends a command with: the one place where the documented codes meet the classes."""

from __future__ import annotations

from loop.engine.outcome import kinds
from loop.engine.signals import EX_TEMPFAIL, Stopped
from loop.engine.stage import Damaged, StageFailed
from loop.runs.gate import GateStop
from stylematte.errors import ConfigError, DataError, WeightsError

EXIT_CODES = "exit codes: 0 done, 1 failed, 2 configuration or usage, 3 data, 4 gate stop, 75 stopped and resumable"
FAILED = 1

CODES: dict[type[BaseException], int] = {
    ConfigError: 2,
    DataError: 3,
    WeightsError: 3,
    Damaged: 3,
    GateStop: 4,
    Stopped: EX_TEMPFAIL,
    KeyboardInterrupt: EX_TEMPFAIL,
    ValueError: FAILED,
    OSError: FAILED,
}
BY_NAME = {f"{error.__module__}.{error.__qualname__}": code for error, code in CODES.items()}


def exit_code(error: BaseException) -> int | None:
    """The documented code of an error a user can cause or cure; None for a fault of ours (shown with traceback).

    A stage that failed in a process of its own counts as what made it fail, and as 1 if that was nobody's fault.
    """
    if isinstance(error, StageFailed):
        return _nearest(error.kinds) or FAILED
    return _nearest(kinds(error))


def _nearest(names: tuple[str, ...]) -> int | None:
    return next((BY_NAME[name] for name in names if name in BY_NAME), None)
