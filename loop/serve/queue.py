"""The queue of runs on this node, in SQLite: what waits, what runs on which devices, what became of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

State = Literal["waiting", "running", "done", "stopped", "failed", "cancelled"]
ACTIVE = ("waiting", "running")
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, source TEXT NOT NULL, words TEXT NOT NULL,
    priority INTEGER NOT NULL, slots INTEGER NOT NULL, redo INTEGER NOT NULL, by TEXT NOT NULL, state TEXT NOT NULL,
    submitted TEXT NOT NULL, started TEXT, ended TEXT, devices TEXT NOT NULL, pid INTEGER, born INTEGER,
    attempts INTEGER NOT NULL, cancelled INTEGER NOT NULL, message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
CREATE UNIQUE INDEX IF NOT EXISTS one_active_job ON jobs (run) WHERE state IN ('waiting', 'running');
"""


class AlreadyQueued(ValueError):
    """The run has a job that waits or runs."""


@dataclass(frozen=True)
class Job:
    id: int
    run: str
    """Its name; its folder is RUNS_DIR/run."""
    source: str
    """The YAML file, as `stylematte run` takes it; "" for a run folder that is gone on with."""
    words: list[str]
    """key=value."""
    priority: int
    """The highest first, then the oldest."""
    slots: int
    """Devices that it needs."""
    redo: bool
    by: str
    state: State
    submitted: str
    """UTC, ISO 8601."""
    started: str | None
    ended: str | None
    devices: list[str]
    """That it was given."""
    pid: int | None
    born: int | None
    """When that process began, in the kernel's ticks: another process of the same number is another process."""
    attempts: int
    cancelled: bool
    """Somebody asked for its end while it ran."""
    message: str
    """What became of it, in one line."""

    def to_json(self) -> dict[str, Any]:
        hidden = {"born", "source", "cancelled"}
        return {name: value for name, value in asdict(self).items() if name not in hidden}


class Queue:
    """Safe to use from several threads: each call has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connected() as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(SCHEMA)

    def submit(
        self, run: str, source: str, words: list[str], priority: int, slots: int, by: str, redo: bool = False
    ) -> Job:
        """Raises AlreadyQueued."""
        values = (run, source, json.dumps(words), priority, slots, redo, by, "waiting", _now(), "[]", 0, 0, "")
        with self._connected() as db:
            try:
                row = db.execute(
                    "INSERT INTO jobs (run, source, words, priority, slots, redo, by, state, submitted, devices, "
                    f"attempts, cancelled, message) VALUES ({', '.join('?' * len(values))}) RETURNING *",
                    values,
                ).fetchone()
            except sqlite3.IntegrityError:
                raise AlreadyQueued(f"{run}: has a job already that waits or runs") from None
            return _job(row)

    def job(self, id_: int) -> Job | None:
        with self._connected() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (id_,)).fetchone()
        return None if row is None else _job(row)

    def jobs(self, *states: State, most: int = 200) -> list[Job]:
        """Of these states, or of all: what runs, then what waits in its order, then what is over, the newest first."""
        asked = states or ("waiting", "running", "done", "stopped", "failed", "cancelled")
        order = (
            "CASE state WHEN 'running' THEN 0 WHEN 'waiting' THEN 1 ELSE 2 END, "
            "CASE WHEN state = 'waiting' THEN -priority ELSE 0 END, "
            "CASE WHEN state IN ('running', 'waiting') THEN id ELSE -id END"
        )
        query = f"SELECT * FROM jobs WHERE state IN ({', '.join('?' * len(asked))}) ORDER BY {order} LIMIT ?"
        with self._connected() as db:
            return [_job(row) for row in db.execute(query, (*asked, most))]

    def active(self, run: str) -> Job | None:
        """The job of a run that waits or runs."""
        return next((job for job in self.jobs("waiting", "running", most=10_000) if job.run == run), None)

    def begun(self, id_: int, pid: int, born: int | None, devices: list[str]) -> bool:
        """Whether it waited until now; if not, it was cancelled meanwhile, and its process must go."""
        with self._connected() as db:
            done = db.execute(
                "UPDATE jobs SET state = 'running', pid = ?, born = ?, devices = ?, started = ?, ended = NULL, "
                "message = '', attempts = attempts + 1 WHERE id = ? AND state = 'waiting'",
                (pid, born, json.dumps(devices), _now(), id_),
            )
            return done.rowcount == 1

    def again(self, id_: int, message: str) -> None:
        """Its process died under it: it waits for its turn once more."""
        self._set(id_, state="waiting", pid=None, born=None, devices="[]", message=message)

    def over(self, id_: int, state: State, message: str) -> None:
        self._set(id_, state=state, pid=None, born=None, ended=_now(), message=message)

    def cancel_waiting(self, id_: int) -> bool:
        """Whether it waited and now does no more."""
        with self._connected() as db:
            done = db.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ?, message = 'cancelled before it began' "
                "WHERE id = ? AND state = 'waiting'",
                (_now(), id_),
            )
            return done.rowcount == 1

    def cancel_running(self, id_: int) -> None:
        self._set(id_, cancelled=1)

    def prioritise(self, id_: int, priority: int) -> None:
        self._set(id_, priority=priority)

    def _set(self, id_: int, **values: Any) -> None:
        with self._connected() as db:
            names = ", ".join(f"{name} = ?" for name in values)
            db.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values.values(), id_))

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=10)) as db, db:
            db.row_factory = sqlite3.Row
            yield db


def _job(row: sqlite3.Row) -> Job:
    values = {item.name: row[item.name] for item in fields(Job)}
    decoded = {name: json.loads(values[name]) for name in ("words", "devices")}
    return Job(**{**values, **decoded, "redo": bool(values["redo"]), "cancelled": bool(values["cancelled"])})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
