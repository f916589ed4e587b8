"""Pictures as arrays: resize, blur, grey, stacks of frames, receptive fields. One image at a time, in jax alone."""

from rljax_viz.images.blur import blur_matrix, gaussian_blur
from rljax_viz.images.grey import grey
from rljax_viz.images.receptive_field import ReceptiveField, receptive_field
from rljax_viz.images.resize import area_resize, mirror_resize, upsample
from rljax_viz.images.stacks import gather_stacks

__all__ = [
    "ReceptiveField",
    "area_resize",
    "blur_matrix",
    "gather_stacks",
    "gaussian_blur",
    "grey",
    "mirror_resize",
    "receptive_field",
    "upsample",
]
