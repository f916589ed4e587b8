"""The door to gymnax: MinAtar and the rest, compiled with the learner into one program."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .env import Account, Env, Info, Timestep, check_action, enter, open_account
from .presets import Preset, check_honoured
from .stacked import stacked

# gymnax keeps no names; these are MinAtar's letters, of its minimal action sets.
_LETTERS = {"n": "noop", "l": "left", "u": "up", "r": "right", "d": "down", "f": "fire"}
_MINATAR = {
    "Asterix-MinAtar": "nlurd",
    "Breakout-MinAtar": "nlr",
    "Freeway-MinAtar": "nud",
    "Seaquest-MinAtar": "nlurdf",
    "SpaceInvaders-MinAtar": "nlrf",
}


class GymnaxState(NamedTuple):
    env_state: Any
    key: jax.Array
    account: Account


def make_gymnax(preset: Preset, num_envs: int) -> Env:
    """`num_envs` copies of a gymnax environment. Frames of 0 and 1 become uint8 0 and 255; vectors stay float32.

    Same-step auto-reset, done here and not by gymnax, so that the true final observation is kept.
    With `preset.stack` the last observations stand side by side, channels [stack*c] (`stacked`).
    Raises ValueError for continuous actions, and for what only Atari has (frame skip, grey, ...).
    """
    import gymnax
    from gymnax.environments.spaces import Discrete

    check_honoured(preset, ("max_episode_steps", "clip_reward", "stack", "padding"))
    env, params = gymnax.make(preset.env_id)
    if not isinstance(env.action_space(params), Discrete):
        raise ValueError(f"{preset.env_id} has continuous actions, expected a number of discrete ones")
    if preset.max_episode_steps:
        params = params.replace(max_steps_in_episode=preset.max_episode_steps)
    shape = tuple(env.observation_space(params).shape)

    def to_frame(obs: jax.Array) -> jax.Array:
        if len(shape) < 2:
            return obs.astype(jnp.float32)
        obs = (obs.astype(jnp.float32) * 255).round().astype(jnp.uint8)
        return obs[..., None] if len(shape) == 2 else obs

    def strict(x: Any) -> jax.Array:  # a bare number would be of another type after a step: every learner compiled twice
        x = jnp.asarray(x)
        return jax.lax.convert_element_type(x, x.dtype)

    def reset_one(key: jax.Array):
        obs, state = env.reset_env(key, params)
        return to_frame(obs), jax.tree.map(strict, state)

    def step_one(key: jax.Array, state: Any, action: jax.Array):
        key_step, key_reset = jax.random.split(key)
        obs, moved, reward, terminated, _ = env.step_env(key_step, state, action, params)
        truncated = env.is_truncated(moved, params) & ~terminated
        first, fresh = reset_one(key_reset)
        final, end = to_frame(obs), terminated | truncated
        state = jax.tree.map(lambda a, b: jnp.where(end, a, jnp.asarray(b).astype(a.dtype)), fresh, moved)
        return jnp.where(end, first, final), state, reward.astype(jnp.float32), terminated, truncated, final

    def reset(key: jax.Array) -> tuple[GymnaxState, Timestep]:
        key, key_reset = jax.random.split(key)
        obs, env_state = jax.vmap(reset_one)(jax.random.split(key_reset, num_envs))
        account, no = open_account(num_envs), jnp.zeros(num_envs, bool)
        info = Info(obs, ~no, no, account.episode_return, account.episode_length, {})
        return GymnaxState(env_state, key, account), Timestep(obs, account.episode_return, no, no, info)

    def step(state: GymnaxState, action: jax.Array) -> tuple[GymnaxState, Timestep]:
        action = check_action(action, num_envs)
        key, key_step = jax.random.split(state.key)
        obs, env_state, raw, terminated, truncated, final = jax.vmap(step_one)(
            jax.random.split(key_step, num_envs), state.env_state, action
        )
        valid, end = jnp.ones(num_envs, bool), terminated | truncated
        account, totals = enter(state.account, raw, valid, end)
        reward = jnp.sign(raw) if preset.clip_reward else raw
        info = Info(final, valid, end, totals.episode_return, totals.episode_length, {})
        return GymnaxState(env_state, key, account), Timestep(obs, reward, terminated, truncated, info)

    obs_shape = jax.eval_shape(lambda k: reset_one(k)[0], jax.random.key(0)).shape
    num_actions = int(env.num_actions)
    letters = _MINATAR.get(preset.env_id, "")
    names = tuple(_LETTERS[c] for c in letters) or tuple(f"action {i}" for i in range(num_actions))
    one = Env(reset, step, num_envs, num_actions, obs_shape, names, preset)
    return stacked(one, preset.stack, preset.padding) if preset.stack > 1 else one
