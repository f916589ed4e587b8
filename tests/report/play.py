"""A small recording for the tests of this room: a ball on 16 x 16 frames, two episodes, stacks of four."""

from typing import Any

import numpy as np

from rljax_viz.report import MapSeries, Recording

T, SIZE, STACK, ACTIONS = 12, 16, 4, 3
NAMES = ("NOOP", "LEFT", "RIGHT")


def frames() -> np.ndarray:
    """[T 16 16]: row t has its ball in column t and a wall that is brighter in the second episode."""
    out = np.zeros((T, SIZE, SIZE), np.uint8)
    out[np.arange(T), 5, np.arange(T)] = 255
    out[:7, 15], out[7:, 15] = 60, 120
    return out


def stacks() -> np.ndarray:
    """[T 16 16 4], oldest first, filled with zeros at the start of an episode."""
    single, out = frames(), np.zeros((T, SIZE, SIZE, STACK), np.uint8)
    for t in range(T):
        for back in range(STACK):
            if t - back >= (0 if t < 7 else 7):
                out[t, ..., STACK - 1 - back] = single[t - back]
    return out


def recording(**changes: Any) -> Recording:
    t = np.arange(T)
    rgb = np.zeros((T, 21, 16, 3), np.uint8)
    rgb[t, 6, t] = (200, 80, 20)
    fields: dict[str, Any] = {
        "obs": stacks(), "action": t % ACTIONS, "reward": np.where(t == 3, 2.0, 0.0), "terminated": t == 6,
        "truncated": t == T - 1, "episode": np.where(t < 7, 4, 5), "stack": STACK, "rgb": rgb,
        "value": np.linspace(-1, 2, T), "logits": np.stack([np.sin(t), np.cos(t), 0 * t], 1) * 2,
        "life_lost": t == 5,
    }  # fmt: skip
    return Recording(**fields | changes)


def maps(steps: int = T) -> list[MapSeries]:
    """Two methods x two scores: signed at the frame's resolution, and unsigned and coarse."""
    rng = np.random.default_rng(0)
    size = 10.0 ** rng.uniform(-3, 1, (steps, 1, 1))
    out = []
    for score in ("value", "logit:chosen"):
        signed, coarse = rng.normal(size=(steps, SIZE, SIZE)) * size, rng.random((steps, 4, 4)) * size
        out.append(MapSeries("gradient", score, signed, units="value per unit of obs"))
        out.append(MapSeries("grad_cam", score, coarse, layer="conv1", units="value"))
    return out
