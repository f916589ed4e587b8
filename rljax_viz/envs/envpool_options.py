"""What a preset is in envpool's own words, what is refused, and what is read of a pool after each step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .presets import Preset, check_honoured

PROCGEN_ACTIONS = (
    "left-down", "left", "left-up", "down", "noop", "up", "right-down", "right", "right-up",
    "d", "a", "w", "s", "q", "e",
)  # fmt: skip

_ATARI_FIELDS = (
    "frame_skip", "max_pool", "grey", "height", "width", "stack", "padding", "sticky", "noop_max", "fire_reset",
    "full_actions", "num_actions", "max_episode_steps", "clip_reward", "life_loss",
)  # fmt: skip


def is_procgen(env_id: str) -> bool:
    return env_id.endswith("-v0")


def atari_options(preset: Preset) -> dict[str, Any]:
    check_honoured(preset, _ATARI_FIELDS)
    if preset.padding != "repeat":
        raise ValueError(f"padding is {preset.padding!r}: envpool repeats the first frame, padding='repeat'")
    if preset.max_pool != (preset.frame_skip > 1):
        raise ValueError(
            f"max_pool={preset.max_pool} with frame_skip={preset.frame_skip}: envpool takes the maximum of the last two "
            f"frames where an action lasts two or more, max_pool={preset.frame_skip > 1}"
        )
    if preset.noop_max < 1:
        raise ValueError(f"noop_max is {preset.noop_max}, expected 1 or more: envpool draws from 1 to noop_max no-ops")
    options = {
        "frame_skip": preset.frame_skip, "gray_scale": preset.grey, "img_height": preset.height or 210,
        "img_width": preset.width or 160, "stack_num": preset.stack, "repeat_action_probability": preset.sticky,
        "noop_max": preset.noop_max, "use_fire_reset": preset.fire_reset, "full_action_space": preset.full_actions,
        "episodic_life": preset.life_loss,
    }  # fmt: skip
    return options | ({"max_episode_steps": preset.max_episode_steps} if preset.max_episode_steps else {})


def procgen_options(preset: Preset) -> dict[str, Any]:
    check_honoured(preset, ("num_actions", "clip_reward", "num_levels", "start_level", "paint_vel_info"))
    if preset.start_level and not preset.num_levels:
        raise ValueError(f"start_level={preset.start_level} needs num_levels: 0 levels is all of them")
    return {
        "num_levels": preset.num_levels,
        "start_level": preset.start_level,
        "paint_vel_info": preset.paint_vel_info,
    }


def columns_of(procgen: bool, recording: bool) -> dict[str, Callable]:
    """What is read of the pool after each step; name -> function of (pool, obs, reward, terminated, truncated, info)."""
    columns: dict[str, Callable] = {
        "obs": lambda p, obs, *_: _channels_last(obs),
        "terminated": lambda p, obs, reward, terminated, truncated, info: terminated,
        "truncated": lambda p, obs, reward, terminated, truncated, info: truncated & ~terminated,
    }
    if procgen:
        columns["raw"] = lambda p, obs, reward, *_: reward.astype(np.float32)
        columns["end"] = lambda p, obs, reward, terminated, truncated, info: terminated | truncated
    else:  # the unclipped reward, and the end of the game rather than of a life
        columns["raw"] = lambda *a: a[-1]["reward"].astype(np.float32)
        columns["end"] = lambda p, obs, reward, terminated, truncated, info: (info["terminated"] > 0) | truncated
    if recording:
        columns["extra:rgb"] = lambda p, obs, *_: p.render(env_ids=np.arange(len(obs), dtype=np.int32))
        kept = ("level_seed", "prev_level_complete") if procgen else ("ram", "lives")
        for name in kept:
            columns[f"extra:{name}"] = lambda *a, name=name: np.asarray(a[-1][name])
    return columns


def _channels_last(obs):
    """[B C H W] -> [B H W C]; in numpy a channel at a time, four times as fast as a transposed copy of bytes."""
    if isinstance(obs, jax.Array):
        return jnp.moveaxis(obs, 1, -1)
    out = np.empty((obs.shape[0], *obs.shape[2:], obs.shape[1]), obs.dtype)
    for channel in range(obs.shape[1]):
        out[..., channel] = obs[:, channel]
    return out
