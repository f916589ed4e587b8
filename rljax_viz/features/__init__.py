"""What a network has learned, apart from any one moment: keys turned back into frames, and states laid out in the plane."""

from .embedding import tsne
from .keys import invert_keys, latent_path, pixelwise_maximum

__all__ = ["invert_keys", "latent_path", "pixelwise_maximum", "tsne"]
