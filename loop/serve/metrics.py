"""Prometheus' view of the node: the runs, their loops' progress, and the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from loop.serve.queue import Job

STATES = ("running", "stopping", "stopped", "paused", "failed", "finished", "interrupted", "idle")
JOB_STATES = ("waiting", "running", "done", "stopped", "failed", "cancelled")
NUMBERS = {
    "steps_finished": ("finished", "Steps of the plan that are done"),
    "steps_total": ("total", "Steps of the plan"),
    "seconds_left": ("left", "Seconds until the end of the run, as its loop expects"),
    "orchestrator_memory_bytes": ("memory", "Bytes resident in the orchestrator"),
}


class Node:
    """A collector over what was just read. live_states: of `loop.serve.state.live_state`."""

    def __init__(self, live_states: Mapping[str, dict[str, Any]], jobs: Sequence[Job]) -> None:
        self.live_states, self.jobs = live_states, jobs

    def collect(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("stylematte_run_state", "1 of the state a run is in", labels=["run", "state"])
        for run, found in self.live_states.items():
            for name in STATES:
                state.add_metric([run, name], float(found["state"] == name))
        yield state
        for metric, (name, text) in NUMBERS.items():
            family = GaugeMetricFamily(f"stylematte_run_{metric}", text, labels=["run"])
            for run, found in self.live_states.items():
                value = (found["live"] or {}).get(name)
                if value is not None:
                    family.add_metric([run], float(value))
            yield family
        yield from self._steps()
        counts = Counter(job.state for job in self.jobs)
        queue = GaugeMetricFamily("stylematte_queue_jobs", "Jobs of the queue by state", labels=["state"])
        for name in JOB_STATES:
            queue.add_metric([name], float(counts[name]))  # type: ignore[index]
        yield queue

    def _steps(self) -> Iterator[Metric]:
        labels = ["run", "step"]
        progress = GaugeMetricFamily("stylematte_step_progress", "Share of a step under way", labels=labels)
        memory = GaugeMetricFamily("stylematte_step_memory_bytes", "Bytes resident in its process", labels=labels)
        gpu = GaugeMetricFamily("stylematte_step_gpu_memory_bytes", "Bytes reserved on its GPU", labels=labels)
        for run, found in self.live_states.items():
            for step in (found["live"] or {}).get("steps", ()):
                where = [run, step["step"]]
                if step["total"]:
                    progress.add_metric(where, (step["done"] or 0) / step["total"])
                memory.add_metric(where, float(step["memory"]))
                gpu.add_metric(where, float(step["gpu_memory"]))
        yield from (progress, memory, gpu)


def exposition(live_states: Mapping[str, dict[str, Any]], jobs: Sequence[Job]) -> bytes:
    """The text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Node(live_states, jobs))
    return generate_latest(registry)
