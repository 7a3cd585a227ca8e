"""What a run will take before it is begun: hours by stage and round, memory and disk, from measured rates."""
