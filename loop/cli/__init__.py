"""One verb each: `add_arguments(parser)` and `main(args) -> exit code`. Torch is imported when a verb runs."""
