"""What the Atari door shows, refuses and records. The oracle is envpool itself, stepped by hand with options written out."""

import functools
import gc

import envpool
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import envs
from rljax_viz.envs import envpool_steps
from rljax_viz.envs.envpool_door import game_seeds

from .playing import as_numpy, assert_same, play, random_actions

KEY = jax.random.key(11)
SEEN = {"frame_skip": 4, "gray_scale": True, "img_height": 84, "img_width": 84, "stack_num": 4}
VIEWS = {  # the presets in envpool's own words
    "baselines": SEEN | {"noop_max": 30, "use_fire_reset": True, "episodic_life": True},
    "dqn": SEEN | {"noop_max": 30, "use_fire_reset": False, "episodic_life": True},
    "machado": SEEN | {"noop_max": 1, "use_fire_reset": False, "repeat_action_probability": 0.25, "full_action_space": True},
    "plain": {"frame_skip": 1, "gray_scale": False, "img_height": 210, "img_width": 160, "stack_num": 1, "noop_max": 1}
    | {"use_fire_reset": False},
}


def refuses(match: str):
    """The door's sentence, the last line of what jax raises when a callback or an operation of XLA fails."""
    return pytest.raises(jax.errors.JaxRuntimeError, match=rf"(\nRuntimeError|^INVALID_ARGUMENT): {match}")


@pytest.fixture(scope="module")
def breakout():
    return envs.make("Breakout-v5", 2, recording=True)


@pytest.fixture(scope="module", params=["xla", "callback"])
def door(request):
    """Breakout by either way of stepping."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLJAX_VIZ_XLA_STEPS", str(int(request.param == "xla")))
        yield envs.make("Breakout-v5", 2)


@pytest.mark.parametrize("preset", VIEWS)
def test_the_door_shows_what_envpool_gives(preset):
    env = envs.make("Asterix-v5", 2, preset, recording=True)
    actions = random_actions(env, 40)
    first, steps = play(env, KEY, actions)
    seeds = game_seeds(np.asarray(jax.random.key_data(KEY)), 2)
    pool = envpool.make(
        "Asterix-v5", env_type="gymnasium", num_envs=2, env_seed=seeds, render_mode="rgb_array", **VIEWS[preset]
    )
    obs, _ = pool.reset()
    np.testing.assert_array_equal(first.obs, obs.transpose(0, 2, 3, 1))
    assert first.obs.dtype == np.uint8 and env.obs_shape == first.obs.shape[1:]
    for t, action in enumerate(actions):
        obs, _, terminated, truncated, info = pool.step(action)
        np.testing.assert_array_equal(steps.obs[t], obs.transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(steps.terminated[t], terminated)
        np.testing.assert_array_equal(steps.truncated[t], truncated)
        np.testing.assert_array_equal(steps.info.extra["ram"][t], info["ram"])
        np.testing.assert_array_equal(steps.info.extra["lives"][t], info["lives"])
        np.testing.assert_array_equal(steps.info.extra["rgb"][t], pool.render(env_ids=np.arange(2, dtype=np.int32)))
    assert steps.info.valid[:10].all() and (steps.obs[5] != steps.obs[0]).any()


def test_the_newest_frame_is_the_last(breakout):
    first, steps = play(breakout, KEY, random_actions(breakout, 12))
    assert (first.obs == first.obs[..., :1]).all()  # a real reset repeats the first frame
    np.testing.assert_array_equal(steps.obs[1:, ..., :-1], steps.obs[:-1, ..., 1:])
    assert (steps.obs[..., -1] != steps.obs[..., -2]).any()


def test_recording_gives_colours_ram_and_lives(breakout):
    first, steps = play(breakout, KEY, np.full((12, 2), breakout.action_names.index("right"), np.int32))
    for extra in (first.info.extra, jax.tree.map(lambda x: x[-1], steps.info.extra)):
        assert {name: (x.shape, x.dtype.name) for name, x in extra.items()} == {
            "rgb": ((2, 210, 160, 3), "uint8"), "ram": ((2, 128), "uint8"), "lives": ((2,), "int32"),
        }  # fmt: skip
    assert (first.info.extra["lives"] == 5).all()
    paddle = steps.info.extra["ram"][:, :, 72].astype(int)  # where the paddle is: "right" goes right
    assert (np.diff(paddle, axis=0) >= 0).all() and (paddle[-1] > first.info.extra["ram"][:, 72]).all()
    assert not envs.make("Breakout-v5", 1).reset(KEY)[1].info.extra


def test_both_ways_of_stepping_play_the_same_games(breakout, door):
    actions = random_actions(door, 60)
    (first, steps), (same, theirs) = play(door, KEY, actions), play(breakout, KEY, actions, drop=("rgb", "ram", "lives"))
    assert_same(steps, theirs)
    np.testing.assert_array_equal(first.obs, same.obs)


def test_a_program_plays_the_new_pool_without_compiling(door):
    step, calls = jax.jit(door.step), []
    for seed in (1, 2, 1):
        state, timestep = door.reset(jax.random.key(seed))
        for _ in range(3):
            state, timestep = step(state, jnp.array([2, 3]))
        calls.append(np.asarray(timestep.obs))
    assert step._cache_size() == 1
    np.testing.assert_array_equal(calls[0], calls[2])
    assert (calls[0] != calls[1]).any()


def test_an_operation_outlives_no_environment(monkeypatch):
    monkeypatch.setenv("RLJAX_VIZ_XLA_STEPS", "1")
    env = envs.make("Breakout-v5", 1)
    state, _ = env.reset(KEY)
    program = jax.jit(env.step).lower(state, jnp.zeros(1, jnp.int32)).compile()
    del env
    jax.clear_caches()
    gc.collect()
    with refuses("no pool of games is open here: .* keep the environment as long as the programs that step it"):
        jax.block_until_ready(program(state, jnp.zeros(1, jnp.int32)))


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"RLJAX_VIZ_XLA_STEPS": "0"}, "switched off"),
        ({}, "several devices"),
        ({"RLJAX_VIZ_XLA_STEPS": "1", "PATH": "", "CXX": "", "XDG_CACHE_HOME": "empty"}, "no C++ compiler"),
    ],
)
def test_without_the_operation_callbacks_step(patch, why, monkeypatch, tmp_path):
    monkeypatch.delenv("RLJAX_VIZ_XLA_STEPS", raising=False)
    for name, value in patch.items():
        monkeypatch.setenv(name, str(tmp_path) if value == "empty" else value)
    monkeypatch.setattr(envpool_steps, "_library", functools.cache(envpool_steps._library.__wrapped__))
    monkeypatch.setattr(envpool_steps, "_PROBED", {})
    assert why in envpool_steps.why_not("atari", lambda seeds: envpool.make("Pong-v5", env_type="gymnasium", env_seed=seeds))
    state, _ = (env := envs.make("Pong-v5", 1)).reset(KEY)
    assert jax.block_until_ready(env.step(state, jnp.zeros(1, jnp.int32)))[1].info.valid.all()


def test_one_key_one_game_another_key_another(breakout):
    actions = random_actions(breakout, 12)
    once = play(breakout, KEY, actions)
    assert_same(once, play(breakout, KEY, actions))
    assert_same(once, play(envs.make("Breakout-v5", 2, recording=True), KEY, actions))
    assert (once[1].obs != play(breakout, jax.random.key(12), actions)[1].obs).any()
    assert (once[1].obs[:, 0] != once[1].obs[:, 1]).any()


def test_jit_is_eager_and_buffers_may_be_donated(door):
    actions = random_actions(door, 12)
    first, steps = play(door, KEY, actions)
    state, eager = door.reset(KEY)
    assert_same(as_numpy(eager), first)
    donating = jax.jit(lambda carry, action: door.step(carry[0], action), donate_argnums=0)
    for t, action in enumerate(actions[:4]):
        old = state
        if t < 2:
            state, eager = door.step(state, action)
        else:
            state, eager = donating((state, eager), action)
            assert old.account.episode_return.is_deleted()
        assert_same(as_numpy(eager), jax.tree.map(lambda x, t=t: x[t], steps))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_a_state_is_used_once(door, wrap):
    step, action = wrap(door.step), jnp.zeros(2, jnp.int32)
    state, _ = door.reset(KEY)
    moved, _ = step(state, action)
    sentence = r"this state is not the newest of its environment .* make one environment a purpose: envs.make\("
    with refuses(sentence) as refusal:
        jax.block_until_ready(step(state, action))
    assert ": this state" in str(refusal.value).splitlines()[-1]  # the sentence stands last
    jax.block_until_ready(step(moved, action))  # the newest goes on as if nothing had been asked
    door.reset(KEY)
    with refuses(sentence):
        jax.block_until_ready(step(moved, action))


def test_wrong_actions_are_refused(door):
    state, _ = door.reset(KEY)
    for action in (jnp.zeros(3, int), jnp.zeros(2), jnp.zeros((2, 1), int)):
        with pytest.raises(ValueError, match=r"expected one integer for each of the 2 environments"):
            door.step(state, action)
    with refuses("actions from 0 to 4, expected 0 to 3: see env.action_names"):
        jax.block_until_ready(door.step(state, jnp.array([0, 4])))
    with refuses("actions from -1 to 0, expected 0 to 3"):
        jax.block_until_ready(door.step(state, jnp.array([-1, 0])))
    with refuses(r"6 actions for a pool of 2 games: as many agents must step as were reset, each with a key of its own"):
        jax.block_until_ready(jax.vmap(door.step, (None, 0))(state, jnp.zeros((3, 2), int)))
    assert jax.block_until_ready(door.step(state, jnp.array([0, 3])))[1].info.valid.all()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"padding": "zeros"}, "padding is 'zeros': envpool repeats the first frame"),
        ({"frame_skip": 1}, "max_pool=True with frame_skip=1.*max_pool=False"),
        ({"noop_max": 0}, "noop_max is 0, expected 1 or more"),
        ({"num_levels": 5}, r"Pong-v5 cannot be shown with {'num_levels': 5}"),
        ({"num_actions": 7}, "Pong-v5 has 6 actions, preset asks for 7"),
    ],
)
def test_views_that_envpool_cannot_show_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        envs.make("Pong-v5", 1, **changes)


def test_machado_has_all_actions_and_sticky_ones():
    env = envs.make("Breakout-v5", 2, "machado")
    assert env.num_actions == 18 and env.action_names[-1] == "down-left-fire"
    right = np.full((25, 2), env.action_names.index("right"), np.int32)
    actions = np.where(np.arange(25)[:, None] % 2, right, env.action_names.index("left")).astype(np.int32)
    _, sticky = play(env, KEY, actions)
    _, prompt = play(envs.make("Breakout-v5", 2, "machado", sticky=0.0), KEY, actions)
    assert (sticky.obs != prompt.obs).any((0, 2, 3, 4)).all()


def test_fewer_actions_keep_their_names():
    env = envs.make("Breakout-v5", 1, num_actions=2)
    assert env.num_actions == 2 and env.action_names == ("noop", "fire")


def test_an_old_pool_is_freed_when_games_begin_anew(door):
    def pools() -> int:
        return sum(type(x).__name__ == "AtariGymnasiumEnvPool" for x in gc.get_objects())

    door.reset(KEY)
    gc.collect()
    before = pools()
    for seed in range(4):
        door.reset(jax.random.key(seed))
    gc.collect()
    assert pools() == before
