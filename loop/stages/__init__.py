"""One step each: `run(ctx) -> Metrics`, a pure function over folders. Found by name, imported when run."""
