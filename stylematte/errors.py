"""The errors a user can cause: a handful of classes, each message one line with what was wrong and how to mend it.

A library raises them, a door catches them: `loop.cli.exit_codes` maps them to the exit codes of the command line.
"""

from __future__ import annotations

import os


class UserError(ValueError):
    """What was asked for cannot be done."""


class ConfigError(UserError):
    """An option, an argument or a value of the configuration that cannot be meant; one line for each."""


class DataError(UserError):
    """A picture, a folder, a data set or a run that is not there or cannot be used as asked."""


class BadPicture(DataError):
    """A file that is no usable picture. The message is one line: the file, then the reason."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path, self.reason = str(path), " ".join(str(reason).split())
        super().__init__(f"{self.path}: {reason}")

    def __reduce__(self) -> tuple[type[BadPicture], tuple[str, str]]:
        return type(self), (self.path, self.reason)  # so that it survives the way back from a loading process


class WeightsError(UserError):
    """A file or folder of weights that cannot be read, or holds another network than it should."""
