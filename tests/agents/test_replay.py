"""What comes out of the memory is what the agent saw, bit for bit, and never reaches over what must not be bridged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.agents import make_replay, sample, sample_windows
from rljax_viz.agents.replay import add, cut, refilled, stacks, transitions
from rljax_viz.envs import Info, Timestep, make

H = W = 4


class Story:
    """Games told by hand: every frame is a number of its own, stacks are built as an environment would."""

    def __init__(self, games: int, stack: int, padding: str, rows: int, seed: int, slots: int):
        rng = np.random.default_rng(seed)
        self.stack, self.padding, self.games = stack, padding, games
        self.obs = np.zeros((rows + 1, games, H, W, stack), np.uint8)
        self.ended, self.valid = rng.random((rows, games)) < 0.15, np.ones((rows, games), bool)
        self.valid[1:] = ~self.ended[:-1]  # envpool: the step after an end only resets
        self.ended &= self.valid
        self.reward = rng.normal(size=(rows, games)).astype(np.float32)
        self.action = rng.integers(0, 3, (rows, games)).astype(np.int32)
        for g in range(games):
            for t in range(rows + 1):
                frame = rng.integers(1, 256, (H, W), dtype=np.uint8)
                fresh = t == 0 or not self.valid[t - 1, g]
                if fresh:
                    self.obs[t, g] = 0 if padding == "zeros" else frame[..., None]
                else:
                    self.obs[t, g, ..., :-1] = self.obs[t - 1, g, ..., 1:]
                self.obs[t, g, ..., -1] = frame
        self.replay = make_replay(slots, games, (H, W, 1))
        start = jnp.ones(games, bool)
        put = jax.jit(add)
        for t in range(rows):
            obs, moved = jnp.asarray(self.obs[t]), self.moved(t)
            self.replay = put(self.replay, obs, start, jnp.asarray(self.action[t]), moved)
            start = refilled(obs, moved.obs, 1)

    def moved(self, t: int) -> Timestep:
        none = jnp.zeros(self.games)
        info = Info(jnp.asarray(self.obs[t + 1]), jnp.asarray(self.valid[t]), none > 0, none, none, {})
        return Timestep(jnp.asarray(self.obs[t + 1]), jnp.asarray(self.reward[t]), jnp.asarray(self.ended[t]), none > 0, info)


@pytest.mark.parametrize("padding", ["repeat", "zeros"])
@pytest.mark.parametrize("rows", [9, 40])
def test_stacks_are_those_that_were_seen(padding, rows):
    story = Story(games=2, stack=4, padding=padding, rows=rows, seed=rows, slots=20)
    first = max(0, rows - 20 + 3)
    row, game = (x.reshape(-1) for x in np.mgrid[first:rows, 0:2])
    seen = jax.jit(lambda r, g: stacks(story.replay, r, g, 4, padding))(row, game)
    np.testing.assert_array_equal(seen, story.obs[row, game])


@pytest.mark.parametrize("n_step", [1, 3])
def test_returns_over_n_steps_stop_at_the_end(n_step):
    story, gamma = Story(games=3, stack=2, padding="repeat", rows=60, seed=1, slots=30), 0.9
    batch = jax.jit(lambda k: sample(k, story.replay, 400, gamma, n_step, 2))(jax.random.key(0))
    slot, game = np.asarray(batch.index) // 3, np.asarray(batch.index) % 3
    row = 59 - (59 - slot) % 30
    assert row.min() >= 31 and row.max() + n_step < 60 and len({*zip(row, game, strict=True)}) > 50
    for i in range(400):
        t, g, total, factor = row[i], game[i], 0.0, 1.0
        for k in range(n_step):
            total += factor * story.reward[t + k, g]
            factor *= gamma
            if story.ended[t + k, g]:
                factor = 0.0
                break
        np.testing.assert_allclose(batch.reward[i], total, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.discount[i], factor, rtol=1e-6)
        assert batch.weight[i] == story.valid[t, g] and batch.action[i] == story.action[t, g]
        np.testing.assert_array_equal(batch.obs[i], story.obs[t, g])
        if factor:
            np.testing.assert_array_equal(batch.next_obs[i], story.obs[t + n_step, g])


def test_games_that_were_broken_off_are_not_bridged():
    story = Story(games=2, stack=1, padding="repeat", rows=10, seed=3, slots=16)
    story.replay = cut(story.replay)  # after row 9
    for t in range(5):
        obs = jnp.asarray(story.obs[t])
        story.replay = add(story.replay, obs, jnp.ones(2, bool), jnp.zeros(2, jnp.int32), story.moved(t))
    batch = transitions(story.replay, jnp.arange(6, 11), jnp.zeros(5, int), 0.9, 3, 1, "repeat")
    for i, t in enumerate(range(6, 10)):
        ends = next((k for k in range(t, 10) if story.ended[k, 0]), None)  # an end before the cut makes it whole
        whole = t + 2 < 9 or (ends is not None and ends < 9)
        assert batch.weight[i] == (whole and story.valid[t, 0])
    assert batch.weight[4] == story.valid[0, 0]


def test_too_little_in_memory_weighs_nothing():
    replay = make_replay(8, 2, (H, W, 1))
    assert not sample(jax.random.key(0), replay, 4, 0.9).weight.any()
    assert not sample_windows(jax.random.key(0), replay, 4, 3).weight.any()
    with pytest.raises(ValueError, match="a memory of 1 steps"):
        make_replay(1, 2, (H, W, 1))


def test_windows_say_where_episodes_begin():
    story = Story(games=2, stack=2, padding="zeros", rows=50, seed=5, slots=25)
    seen = jax.jit(lambda k: sample_windows(k, story.replay, 60, 5, 2, "zeros"))(jax.random.key(1))
    numbered = {story.obs[t, g].tobytes(): (t, g) for t in range(50) for g in range(2)}
    for i in range(60):
        rows = [numbered[np.asarray(seen.obs[k, i]).tobytes()] for k in range(5)]
        t, g = rows[0]
        assert rows == [(t + k, g) for k in range(5)] and t >= 26
        for k in range(5):
            begins = story.ended[t + k - 1, g] or not story.valid[t + k - 1, g]
            assert seen.first[k, i] == begins and seen.weight[k, i] == story.valid[t + k, g]
            assert seen.ended[k, i] == story.ended[t + k, g]


def _remembered(env_id: str, steps: int, slots: int, **changes) -> None:
    """Plays at random, and compares every stack in memory with what was seen."""
    env = make(env_id, 2, **changes)
    channels = env.obs_shape[-1] // env.preset.stack
    state, timestep = jax.jit(env.reset)(jax.random.key(0))
    replay = make_replay(slots, 2, (*env.obs_shape[:-1], channels))
    start, seen, put, move = jnp.ones(2, bool), [], jax.jit(add), jax.jit(env.step)
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(steps):
        action = jnp.asarray(rng.integers(0, env.num_actions, 2), jnp.int32)
        state, moved = move(state, action)
        replay = put(replay, timestep.obs, start, action, moved)
        start = refilled(timestep.obs, moved.obs, channels)
        seen.append((np.asarray(timestep.obs), np.asarray(moved.info.valid)))
        ends, timestep = ends + int(moved.info.episode_end.sum()), moved
    assert ends > 0, "no game ended: play longer"
    rows, games = (x.reshape(-1) for x in np.mgrid[max(0, steps - slots + env.preset.stack - 1) : steps, 0:2])
    got = jax.jit(lambda r, g: stacks(replay, r, g, env.preset.stack, env.preset.padding))(rows, games)
    for obs, t, g in zip(np.asarray(got), rows, games, strict=True):
        if seen[t][1][g]:  # where a game only resets, nothing is ever drawn
            np.testing.assert_array_equal(obs, seen[t][0][g])


def test_minatar_is_remembered_as_it_was_seen():
    _remembered("Breakout-MinAtar", steps=120, slots=50)


@pytest.mark.slow
def test_atari_is_remembered_as_it_was_seen():
    _remembered("Breakout-v5", steps=700, slots=400)


def test_seeds_are_a_vmap():
    story = Story(games=2, stack=2, padding="repeat", rows=20, seed=7, slots=16)
    two = jax.tree.map(lambda x: jnp.stack([x, x]), story.replay)
    keys = jax.random.split(jax.random.key(0))
    both = jax.vmap(lambda k, r: sample(k, r, 8, 0.9, 2, 2))(keys, two)
    for s in range(2):
        alone = sample(keys[s], story.replay, 8, 0.9, 2, 2)
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda x, s=s: x[s], both), alone)
