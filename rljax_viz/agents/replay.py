"""A replay memory on the device: single frames are kept, and the stacks that the agent saw are gathered from them.

A row is one step of all games. `add` is one write in place, so that a scan carries the memory without copying it; never
hand it to a `lax.cond` (its branches would copy it): sample outside, learn inside.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Replay(NamedTuple):
    """The newest `slots` rows of B games; row r lies in slot r % slots, and `count` rows were ever written.

    frames[slots B H W c]: the newest frame of what the agent saw. start[slots B]: its stack was refilled with that frame.
    action[slots B] was taken there, and gave reward[slots B]; `ended` says that the episode ended with this step, `valid`
    is False where the game was only resetting. cut[slots B]: the next row is another game, and no end was seen.
    """

    frames: jax.Array
    start: jax.Array
    action: jax.Array
    reward: jax.Array
    ended: jax.Array
    valid: jax.Array
    cut: jax.Array
    count: jax.Array

    @property
    def slots(self) -> int:
        return self.ended.shape[0]

    @property
    def games(self) -> int:
        return self.ended.shape[1]


class Batch(NamedTuple):
    """Transitions over n steps: `reward[N]` discounted and summed until the end, `discount[N]` of the value of `next_obs`
    (0 after an end), `weight[N]` 0 for what must not be learned from, `index[N]` the place in the memory.
    """

    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    discount: jax.Array
    next_obs: jax.Array
    weight: jax.Array
    index: jax.Array


class Windows(NamedTuple):
    """T steps in a row of N games: obs[T N H W C]; action, reward, ended, first (an episode begins), weight: all [T N]."""

    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    ended: jax.Array
    first: jax.Array
    weight: jax.Array


def make_replay(slots: int, num_envs: int, frame_shape: tuple[int, ...], dtype: Any = jnp.uint8) -> Replay:
    """An empty memory of `slots` steps of `num_envs` games, frames [H W c]. Raises ValueError for fewer than two slots."""
    if slots < 2:
        raise ValueError(f"a memory of {slots} steps of each game cannot hold a transition; give it 2 or more")
    flags = jnp.zeros((slots, num_envs), bool)
    reward = jnp.zeros((slots, num_envs), jnp.float32)
    frames = jnp.zeros((slots, num_envs, *frame_shape), dtype)
    return Replay(frames, flags, flags.astype(jnp.int32), reward, flags, flags, flags, jnp.zeros((), jnp.int32))


def refilled(obs: jax.Array, next_obs: jax.Array, channels: int) -> jax.Array:
    """Where the stack of `next_obs[B H W C]` is not that of `obs`, moved on by one frame of `channels`: bool [B].

    What was seen decides, not what a reset is said to do: a lost life moves the stack on, a new game refills it.
    """
    kept = next_obs[..., :-channels] == obs[..., channels:]
    return ~kept.reshape(kept.shape[0], -1).all(-1)


def add(replay: Replay, obs: jax.Array, start: jax.Array, action: jax.Array, moved: Any) -> Replay:
    """One more row: what was seen (`obs[B H W C]`, its stack refilled where `start`), done, and what came of it (`moved`)."""
    channels, slot = replay.frames.shape[-1], replay.count % replay.slots
    row = {
        "frames": obs[..., -channels:], "start": start, "action": action, "reward": moved.reward, "ended": moved.done,
        "valid": moved.info.valid, "cut": jnp.zeros_like(start),
    }  # fmt: skip
    written = {
        name: jax.lax.dynamic_update_index_in_dim(getattr(replay, name), value.astype(getattr(replay, name).dtype), slot, 0)
        for name, value in row.items()
    }
    return Replay(**written, count=replay.count + 1)


def cut(replay: Replay) -> Replay:
    """The memory where all games are broken off: no transition reaches from before to after."""
    slot = (replay.count - 1) % replay.slots
    return replay._replace(cut=replay.cut.at[slot].set(True))


def stacks(replay: Replay, row: jax.Array, game: jax.Array, stack: int, padding: str = "repeat") -> jax.Array:
    """What the agent saw in row `row[N]` of game `game[N]`: [N H W stack*c], oldest frame first.

    Rows before the oldest one in memory must not be needed: the newest `slots - stack + 1` rows are safe.
    """
    back = jnp.arange(stack)[None]  # 0 is the newest frame
    rows = row[:, None] - back
    starts = replay.start[rows % replay.slots, game[:, None]]
    begun = jnp.cumsum(starts, axis=1) - starts > 0  # a start lies after this row: it is of another game
    age = jnp.where(starts.any(1), jnp.argmax(starts, axis=1), stack - 1)
    frames = replay.frames[(row[:, None] - jnp.minimum(back, age[:, None])) % replay.slots, game[:, None]]
    if padding == "zeros":
        frames = jnp.where(begun.reshape(*begun.shape, 1, 1, 1), jnp.zeros((), frames.dtype), frames)
    frames = jnp.moveaxis(frames[:, ::-1], 1, -2)
    return frames.reshape(*frames.shape[:-2], -1)


def oldest(replay: Replay, stack: int) -> jax.Array:
    """The first row whose whole stack is in memory."""
    return jnp.maximum(replay.count - replay.slots + stack - 1, 0)


def sample(
    key: jax.Array,
    replay: Replay,
    batch: int,
    discount: float,
    n_step: int = 1,
    stack: int = 1,
    padding: str = "repeat",
) -> Batch:
    """`batch` transitions, each (step, game) equally likely. Until `n_step + 1` rows are there, all weights are 0."""
    key_row, key_game = jax.random.split(key)
    first, end = oldest(replay, stack), replay.count - n_step
    row = jax.random.randint(key_row, (batch,), first, jnp.maximum(end, first + 1))
    game = jax.random.randint(key_game, (batch,), 0, replay.games)
    return transitions(replay, row, game, discount, n_step, stack, padding)


def transitions(
    replay: Replay, row: jax.Array, game: jax.Array, discount: float, n_step: int, stack: int, padding: str
) -> Batch:
    """The transitions that begin at `row[N]`, `game[N]`; weight 0 where one is not whole, or was only a reset."""
    ahead = (row[:, None] + jnp.arange(n_step)[None]) % replay.slots
    ended, broken = replay.ended[ahead, game[:, None]], replay.cut[ahead, game[:, None]]
    alive = jnp.cumprod(jnp.pad(~ended, ((0, 0), (1, 0)), constant_values=True).astype(jnp.float32), axis=1)  # [N n+1]
    powers = discount ** jnp.arange(n_step + 1, dtype=jnp.float32)
    reward = (replay.reward[ahead, game[:, None]] * alive[:, :-1] * powers[None, :-1]).sum(1)
    whole = ~(broken & (alive[:, :-1] > 0)).any(1) & (row >= oldest(replay, stack)) & (row + n_step < replay.count)
    slot = row % replay.slots
    return Batch(
        obs=stacks(replay, row, game, stack, padding),
        action=replay.action[slot, game],
        reward=reward,
        discount=alive[:, -1] * powers[-1],
        next_obs=stacks(replay, row + n_step, game, stack, padding),
        weight=(whole & replay.valid[slot, game]).astype(jnp.float32),
        index=slot * replay.games + game,
    )


def sample_windows(
    key: jax.Array, replay: Replay, batch: int, length: int, stack: int = 1, padding: str = "repeat"
) -> Windows:
    """`batch` windows of `length` steps in a row, each (first step, game) equally likely.

    `first` says where a memory must be emptied: at the begin of an episode, also of one in the middle of the window.
    Until `length` rows are there, all weights are 0.
    """
    key_row, key_game = jax.random.split(key)
    begin, end = oldest(replay, max(stack, 2)), replay.count - length + 1
    row = jax.random.randint(key_row, (batch,), begin, jnp.maximum(end, begin + 1))
    game = jax.random.randint(key_game, (batch,), 0, replay.games)
    rows, games = row[None] + jnp.arange(length)[:, None], jnp.broadcast_to(game, (length, batch))
    slot, before = rows % replay.slots, (rows - 1) % replay.slots
    fresh = replay.ended[before, games] | ~replay.valid[before, games] | replay.cut[before, games]
    obs = stacks(replay, rows.reshape(-1), games.reshape(-1), stack, padding)
    return Windows(
        obs=obs.reshape(length, batch, *obs.shape[1:]),
        action=replay.action[slot, games],
        reward=replay.reward[slot, games],
        ended=replay.ended[slot, games],
        first=fresh | (rows == 0),
        weight=(replay.valid[slot, games] & (rows < replay.count)).astype(jnp.float32),
    )
