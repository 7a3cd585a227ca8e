"""StyleMatteGAN: latent -> RGBA cut-out. Knows the base modules of `stylematte`, not the matter.

generator = stylemattegan.load("runs/portraits", domain="portraits")   # a run, an export, or a generator folder
rgba = generator.sample(seeds=range(1, 9), psi=0.7)                    # (8, 4, H, W), straight RGBA in [0, 1]
"""

from __future__ import annotations

from typing import Any

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """On first use: the import of the package itself stays light."""
    if name not in __all__:
        raise AttributeError(f"module 'stylemattegan' has no attribute {name!r}")
    from stylemattegan.generator_folder import load

    return load
