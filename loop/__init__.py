"""The hallway: rounds and stages over a run folder. Importing it never imports torch."""
