"""Every class of error and the documented code it ends a command with, also after it crossed a process."""

import pytest

from loop.cli.exit_codes import exit_code
from loop.engine.lock import RunLocked
from loop.engine.outcome import kinds
from loop.engine.signals import Stopped
from loop.engine.stage import StageError, StageFailed
from loop.runs.gate import GateStop
from stylematte.errors import BadPicture, ConfigError, DataError, UserError, WeightsError

TABLE = [
    (UserError("x"), 1),
    (ConfigError("x"), 2),
    (DataError("x"), 3),
    (BadPicture("x.png", "broken"), 3),
    (WeightsError("x"), 3),
    (GateStop("x"), 4),
    (Stopped("x"), 75),
    (KeyboardInterrupt(), 75),
    (RunLocked("x"), 1),
    (StageError("x"), 1),
    (FileNotFoundError("x"), 1),
    (RuntimeError("ours"), None),
]


@pytest.mark.parametrize(("error", "code"), TABLE, ids=[type(error).__name__ for error, _ in TABLE])
def test_each_error_has_its_code_here_and_from_a_stage(error: BaseException, code: int | None) -> None:
    assert exit_code(error) == code
    assert exit_code(StageFailed("01/label failed", kinds(error))) == (code or 1)
