"""A saliency map over the frame it belongs to: green speaks for, red against, in any notebook with `show`."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

POSITIVE = np.array((44, 224, 128), np.float32)
NEGATIVE = np.array((255, 70, 84), np.float32)
# One colour a plane for frames of objects; far apart in hue and in lightness.
PALETTE = np.array([
    (86, 180, 233), (240, 228, 66), (204, 121, 167), (230, 159, 0), (0, 158, 115), (213, 94, 0), (0, 114, 178),
    (180, 180, 180), (166, 118, 255), (120, 94, 60), (255, 170, 170), (110, 220, 200)], np.uint8)
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


def overlay(frame: Any, map: Any, opacity: float = 0.5, scale: float | None = None) -> np.ndarray:
    """`map` over `frame`: green where it is positive, red where it is negative, at most `opacity` strong.

    (frame[H W] or [H W c] uint8, map[h w]) -> uint8 [H W 3]. The frame is drawn in greys, so that the only colour is
    the map's; the map is upsampled bilinearly to the frame. `scale` is the value that gets the full colour; None
    takes the map's largest magnitude.
    Rosynski et al. 2020, sec. 4, arXiv:2012.01281 (green, red, half opaque). Differs: each pixel's opacity grows with
    its value, so that a zero map leaves the frame as it is.
    Raises ValueError for a map that is not [h w], is not finite, or a scale or opacity out of range.
    """
    grey = colours(frame).astype(np.float32) @ _LUMA
    values = np.asarray(map, np.float32)
    if values.ndim != 2:
        raise ValueError(f"The map has shape {values.shape}; expected [h w]. Of a map with channels take the newest "
                         "frame, `map[..., -1]`, or `rljax_viz.show(obs, map)`, which does.")
    if not np.isfinite(values).all():
        raise ValueError("The map holds NaN or infinity and cannot be drawn.")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}; expected 0 to 1.")
    full = float(np.abs(values).max()) if scale is None else scale
    strength = opacity * signed_strength(resize(values, grey.shape), full)
    alpha = np.abs(strength)[..., None]
    colour = np.where(strength[..., None] > 0, POSITIVE, NEGATIVE)
    return np.round(grey[..., None] * (1 - alpha) + colour * alpha).astype(np.uint8)


def signed_strength(values: np.ndarray, scale: float) -> np.ndarray:
    """values / scale, held to -1..1; a scale of zero belongs to a map of zeros and gives zeros."""
    if scale < 0 or not np.isfinite(scale):
        raise ValueError(f"scale is {scale}; expected the value that gets the full colour, above 0.")
    return np.clip(values / scale, -1, 1) if scale > 0 else np.zeros_like(values)


def show(obs: Any, map: Any, opacity: float = 0.5, scale: float | None = None, *, stack: int | None = None,
         size: int = 336) -> "Image":
    """One picture of a map over the newest frame of `obs`; a notebook displays it.

    (obs[H W C] uint8, map[h w] or [H W C]) -> PIL image, enlarged by a whole number to at least `size` pixels. Of a map
    with channels the newest frame's are summed. `stack` is how many frames C holds, oldest first; None takes C as a
    stack of grey frames, except for one or three channels or a frame under 32 pixels (objects in planes): one frame.
    Raises ValueError as `overlay` does, and if `stack` does not divide C.
    """
    obs, values = np.asarray(obs), np.asarray(map, np.float32)
    if obs.ndim not in (2, 3):
        raise ValueError(f"obs has shape {obs.shape}; expected ONE observation [H W C]: `show(obs[i], map[i])`.")
    obs = obs[..., None] if obs.ndim == 2 else obs
    channels = obs.shape[-1]
    frames = stack if stack is not None else 1 if channels in (1, 3) or max(obs.shape[:2]) < 32 else channels
    if frames < 1 or channels % frames:
        raise ValueError(f"stack={stack} does not divide the {channels} channels of obs {obs.shape}.")
    newest = channels // frames
    if values.ndim == 3:
        if values.shape != obs.shape:
            raise ValueError(f"The map has shape {values.shape}, obs {obs.shape}; expected [h w] or the shape of obs.")
        values = values[..., -newest:].sum(-1)
    factor = max(1, -(-size // max(obs.shape[:2])))
    frame = colours(obs[..., -newest:]).repeat(factor, 0).repeat(factor, 1)
    if values.shape == obs.shape[:2]:  # its pixels are the frame's: no smoothing between them
        values = values.repeat(factor, 0).repeat(factor, 1)
    from PIL import Image  # here and below, so that a machine that only computes needs no pictures

    return Image.fromarray(overlay(frame, values, opacity, scale))


def colours(frame: Any) -> np.ndarray:
    """A frame as a picture: grey, colour, or planes of objects in one colour each (their sum where they overlap)."""
    frame = np.asarray(frame)
    if frame.ndim == 2:
        frame = frame[..., None]
    if frame.ndim != 3 or frame.dtype != np.uint8:
        raise ValueError(f"The frame is {frame.dtype} {frame.shape}; expected one uint8 frame [H W] or [H W c].")
    channels = frame.shape[-1]
    if channels == 3:
        return frame
    if channels == 1:
        return frame.repeat(3, -1)
    shades = PALETTE[np.arange(channels) % len(PALETTE)].astype(np.float32)
    return np.minimum(np.round(frame.astype(np.float32) @ shades / 255), 255).astype(np.uint8)


def resize(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bilinear with half-pixel centres, as `explain.upsample`; averaged where it shrinks."""
    if values.shape == shape:
        return values
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
