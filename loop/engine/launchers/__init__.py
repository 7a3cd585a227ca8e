"""Where a stage runs: in this process, in a process of its own, or on several devices by torchrun."""
