"""Pure tensor functions of the generator and the discriminator; each has a slow reference beside its fast form."""

from stylemattegan.ops.allocator import keep_big_blocks
from stylemattegan.ops.bias_act import bias_act
from stylemattegan.ops.filtered_lrelu import filtered_lrelu
from stylemattegan.ops.filters import lowpass_filter, setup_filter
from stylemattegan.ops.implementation import set_default
from stylemattegan.ops.modulated_conv import modulated_conv2d
from stylemattegan.ops.upfirdn2d import downsample2d, filter2d, upfirdn2d, upsample2d

__all__ = [
    "bias_act",
    "downsample2d",
    "filter2d",
    "filtered_lrelu",
    "keep_big_blocks",
    "lowpass_filter",
    "modulated_conv2d",
    "set_default",
    "setup_filter",
    "upfirdn2d",
    "upsample2d",
]
