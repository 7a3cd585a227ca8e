"""A fit in small: steps with a checkpoint in scratch after each; resumes, beats, stops. Rank 0 writes the result."""

import json
import os
import time
from typing import Any

from loop.engine.heartbeat import Progress, beat
from loop.engine.signals import stop_requested
from loop.engine.stage import Context, Stopped


def run(ctx: Context) -> dict[str, Any]:
    checkpoint = ctx.scratch / "last.json"
    state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"step": 0, "sum": ctx.seed}
    while state["step"] < ctx.config["steps"]:
        state = {"step": state["step"] + 1, "sum": (state["sum"] * 31 + state["step"]) % 1_000_003}
        time.sleep(ctx.config["sleep"])
        if ctx.is_first_rank:
            partial = ctx.scratch / "partial"
            partial.write_text(json.dumps(state))
            os.replace(partial, checkpoint)
            with open(ctx.config["calls"], "a") as file:
                file.write(f"{ctx.step_id} {state['step']}\n")
        beat(ctx.scratch, Progress(state["step"], ctx.config["steps"]))
        if stop_requested():
            raise Stopped(f"{ctx.step_id} stopped at step {state['step']}")
    (ctx.out / "text").write_text(f"{state['sum']}\n")
    return {"sum": state["sum"], "world": ctx.world}
