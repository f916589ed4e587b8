"""What a network has learned, apart from any one moment: keys turned back into frames, and states laid out in the plane."""

from .embedding import tsne
from .keys import attention_by_value, invert_keys, latent_path, pixelwise_maximum

__all__ = ["attention_by_value", "invert_keys", "latent_path", "pixelwise_maximum", "tsne"]
