"""Enhancement in latent space (arXiv 2208.06601): pictures moved to where a matter mattes them easily, and gated."""

from stylemattegan.enhance.gate import Refine, Verdict, verdicts
from stylemattegan.enhance.losses import Critic, Matte, Matter, composite_critic, pair_critic
from stylemattegan.enhance.matters import OnnxMatter, trimap_based, trimap_free
from stylemattegan.enhance.move import Enhanced, Scene, enhance, scene_of
from stylemattegan.latent_config import PRESETS, EnhanceConfig, GateConfig, LossWeights

__all__ = [
    "PRESETS",
    "Critic",
    "EnhanceConfig",
    "Enhanced",
    "GateConfig",
    "LossWeights",
    "Matte",
    "Matter",
    "OnnxMatter",
    "Refine",
    "Scene",
    "Verdict",
    "composite_critic",
    "enhance",
    "pair_critic",
    "scene_of",
    "trimap_based",
    "trimap_free",
    "verdicts",
]
