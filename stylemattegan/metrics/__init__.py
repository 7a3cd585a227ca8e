"""How good a generator is: distances between sets of features, path lengths, equivariance.

Features are whatever the caller gives: (N, d) arrays, or a function of pictures. Nothing is ever downloaded.
"""

from stylemattegan.metrics.distances import frechet_distance, kernel_distance, kernel_distance_of_blocks
from stylemattegan.metrics.equivariance import equivariance, generator_equivariance
from stylemattegan.metrics.neighbours import precision_recall
from stylemattegan.metrics.path_length import path_length, slerp

__all__ = [
    "equivariance",
    "frechet_distance",
    "generator_equivariance",
    "kernel_distance",
    "kernel_distance_of_blocks",
    "path_length",
    "precision_recall",
    "slerp",
]
