"""What a long stage does between two pieces of work: a sign of life, and a look at whether it was asked to stop."""

from loop.heartbeat import beat
from loop.signals import stop_point
from loop.stage import Context


def breathe(ctx: Context) -> None:
    """Raises Stopped if a stop was asked for: a stage without a checkpoint begins again next time."""
    beat(ctx.scratch)
    stop_point(f"{ctx.step_id} stopped")
