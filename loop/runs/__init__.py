"""Runs as a whole: bring one up to date, ask before results are made again, gate, status, export."""
