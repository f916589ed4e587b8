"""An envpool of a peer's own."""

import os
from typing import Any

import envpool

from rljax_viz.envs import Env


def make_pool(env: Env) -> Any:
    """As many games as `env` has, with every option of its preset and as many threads."""
    p = env.preset
    return envpool.make(
        p.env_id, env_type="gymnasium", num_envs=env.num_envs, num_threads=min(os.cpu_count() or 1, env.num_envs), seed=1,
        frame_skip=p.frame_skip, gray_scale=p.grey, img_height=p.height, img_width=p.width, stack_num=p.stack,
        repeat_action_probability=p.sticky, noop_max=p.noop_max, use_fire_reset=p.fire_reset,
        full_action_space=p.full_actions, max_episode_steps=p.max_episode_steps, episodic_life=p.life_loss,
    )  # fmt: skip
