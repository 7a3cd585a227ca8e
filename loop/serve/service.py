"""What the routes share: the settings, the runs, the queue and what carries it out, the matting process, the cache."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from loop.serve import pairs, parts, state
from loop.serve.cached import Cache
from loop.serve.folders import RunFolders, stamp
from loop.serve.jobs import Jobs
from loop.serve.matting import MatteProcess
from loop.serve.queue import Queue
from loop.serve.settings import Settings

LIVE_EVERY = 0.5
"""Seconds that a live record is shown for, to however many clients, before the disk is asked again."""


class Service:
    """Use it in one event loop; close it at its end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.runs = RunFolders(settings.runs_dir)
        self.queue = Queue(settings.state / "queue.sqlite")
        self.jobs = Jobs(self.queue, self.runs.runs_dir, settings.state / "logs", settings.devices)
        self.matting = MatteProcess(settings.matte_seconds, settings.max_pixels)
        self.cache = Cache()

    def close(self) -> None:
        self.jobs.end()
        self.matting.close()

    async def live(self, name: str) -> state.Json:
        run = self.runs.get(name)
        return await self.cache.get(("live", name), _now(), lambda: state.live_state(name, run))

    async def summaries(self) -> list[state.Json]:
        def make() -> list[state.Json]:
            return [state.summary(name, run) for name, run in self.runs.all().items()]

        return await self.cache.get("summaries", _now(), make)

    async def overview(self, name: str) -> state.Json:
        run = self.runs.get(name)
        return await self.cache.get(("overview", name), state.version(run), lambda: state.overview(name, run))

    async def parts(self, name: str) -> parts.Parts:
        run = self.runs.get(name)
        return await self.cache.get(("parts", name), stamp(run / "report.html"), lambda: parts.read_parts(run))

    async def candidates(self, name: str, round_: int, domain: str) -> pairs.Candidates:
        run = self.runs.get(name)
        key, found = ("pairs", name, round_, domain), pairs.state(run, round_, domain)
        return await self.cache.get(key, found, lambda: pairs.candidates(run, round_, domain))

    async def queued(self) -> list[dict[str, Any]]:
        return await self.cache.get("queue", _now(), lambda: [job.to_json() for job in self.queue.jobs()])

    def forget_queue(self) -> None:
        """It was just changed: the next question reads it."""
        for key in ("queue", "summaries"):
            self.cache.values.pop(key, None)

    def forget_live(self, name: str) -> None:
        self.cache.values.pop(("live", name), None)

    def folder(self, name: str) -> Path:
        return self.runs.get(name)


def _now() -> int:
    return int(time.monotonic() / LIVE_EVERY)
