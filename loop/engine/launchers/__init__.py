"""How a step is run: in this process, in a process group of its own, or by torchrun."""
