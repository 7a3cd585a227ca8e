"""How good a generator is: distances between sets of features, path lengths, equivariance. One home for all of them.

Features are functions of straight RGBA pictures that the caller gives (`features`). Nothing is ever downloaded.
"""

from stylemattegan.metrics.band_statistics import band_distances, band_statistics
from stylemattegan.metrics.cutout_distances import cutout_distances, cutouts
from stylemattegan.metrics.distances import frechet_distance, kernel_distance, kernel_distance_of_blocks
from stylemattegan.metrics.equivariance import equivariance, generator_equivariance
from stylemattegan.metrics.neighbours import density_coverage, precision_recall, spread
from stylemattegan.metrics.path_length import path_length, slerp
from stylemattegan.metrics.projections import projected_distances
from stylemattegan.metrics.uncertainty import standard_error

__all__ = [
    "band_distances",
    "band_statistics",
    "cutout_distances",
    "cutouts",
    "density_coverage",
    "equivariance",
    "frechet_distance",
    "generator_equivariance",
    "kernel_distance",
    "kernel_distance_of_blocks",
    "path_length",
    "precision_recall",
    "projected_distances",
    "slerp",
    "spread",
    "standard_error",
]
