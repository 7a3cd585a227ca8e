"""Data sets made by generators: which generators there are, the configuration of a data set, its making, its card."""
