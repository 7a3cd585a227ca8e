"""Pools of pairs that grow: tar shards on a disk or behind any fsspec URL; statistics, checks, duplicates, splits."""
