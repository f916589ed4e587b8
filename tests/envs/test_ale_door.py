"""Atari by ale-py: what envpool plays, bar rounding, and a Breakout whose wall returns for ever."""

import dataclasses
import sys

import envpool
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import envs
from rljax_viz.envs.ale_door import AleGame, AlePool, infinite_breakout
from rljax_viz.envs.envpool_options import atari_options


def test_it_plays_what_envpool_plays():
    """RAM, rewards, lives and ends are equal; of the pixels a few are rounded the other way."""
    preset = envs.make_preset("baselines", "Breakout-v5", noop_max=1)
    ours = AlePool(preset, [5])
    peer = envpool.make("Breakout-v5", env_type="gymnasium", num_envs=1, env_seed=[5], **atari_options(preset))
    obs, want = ours.reset()[0], peer.reset()[0]
    rng, ends = np.random.default_rng(0), 0
    for _ in range(150):
        assert obs.shape == want.shape and np.abs(obs.astype(int) - want).max() <= 1 and (obs != want).mean() < 1e-3
        action = rng.integers(0, 4, 1).astype(np.int32)
        obs, _, terminated, truncated, info = ours.step(action)
        want, _, want_terminated, want_truncated, want_info = peer.step(action)
        assert (terminated == want_terminated).all() and (truncated == want_truncated).all()
        for name in ("ram", "lives", "reward"):
            np.testing.assert_array_equal(info[name], want_info[name])
        ends += int(terminated[0])
    assert ends > 0


def follow(game) -> int:
    """Keeps the paddle below the ball, as long as there are lives: bytes 72, 99 and 101 are their places."""
    ram = game.ale.getRAM().astype(int)
    game.write({57: 5})
    if ram[101] == 0:
        return 1
    return 2 if ram[99] - ram[72] > 12 else 3 if ram[99] - ram[72] < 6 else 0


def test_the_wall_returns_for_ever_and_no_point_is_lost():
    preset = dataclasses.replace(envs.make_preset("plain", "BreakoutInfinite-v5"), grey=True)
    (game,) = AlePool(preset, [3]).games
    game.reset()
    score = 0
    for _ in range(2000):  # until the score that the game shows is the sum of rewards
        score += game.step(follow(game))[0]
        ram = game.ale.getRAM()
        assert int(f"{ram[76]:02x}{ram[77]:02x}") == score
    assert score >= 5
    game.write({76: 0x08, 77: 0x63})  # as if 863 points had been made: the next brick is the last
    game.step(0)  # the emulator takes the jump for a reward
    total = 0
    for _ in range(2000):
        total += (reward := game.step(follow(game))[0])
        assert reward >= 0
        if total:
            break
    ram = game.ale.getRAM()
    assert (ram[76], ram[77]) == (0x04, 0x32) and total >= 1
    reward = game.step(0)[0]
    assert reward == 0  # the emulator says -432, the door gives it back


def test_the_score_is_read_as_decimal_digits():
    ram = np.zeros(128, np.uint8)
    ram[76], ram[77] = 0x08, 0x63
    assert infinite_breakout(ram) == ({}, 0)
    ram[77] = 0x66
    assert infinite_breakout(ram) == ({76: 4, 77: 0x32}, 866 - 432)


def test_behind_the_door_seeds_are_a_vmap():
    env = envs.make("BreakoutInfinite-v5", 1, recording=True)
    assert env.action_names == ("noop", "fire", "right", "left") and env.obs_shape == (84, 84, 4)
    state, first = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 2))
    _, step = jax.vmap(env.step)(state, jnp.ones((2, 1), jnp.int32))
    assert step.obs.shape == (2, 1, 84, 84, 4) and step.info.extra["ram"].shape == (2, 1, 128)
    assert first.info.valid.all()


def test_a_replay_differs_by_its_edit_alone():
    preset = envs.make_preset("baselines", "MsPacman-v5", noop_max=1)
    actions = np.random.default_rng(0).integers(0, 9, 20)
    plain = envs.replay(preset, actions)
    again = envs.replay(preset, actions)
    np.testing.assert_array_equal(plain.rgb, again.rgb)
    edited = envs.replay(preset, actions, {12: {59: int(plain.ram[12][59]) ^ 0xFF}})
    for name in ("obs", "rgb", "ram"):
        np.testing.assert_array_equal(getattr(plain, name)[:12], getattr(edited, name)[:12])
    assert edited.ram[12][59] == plain.ram[12][59] ^ 0xFF and (edited.rgb[13:] != plain.rgb[13:]).any()
    assert plain.obs.shape == (20, 84, 84, 4) and plain.rgb.shape == (20, 210, 160, 3)


@pytest.mark.parametrize(
    ("ram", "edits", "message"),
    [
        (np.zeros(127, np.uint8), {}, r"an Atari memory is uint8\[128\], got uint8\[127\]"),
        (np.zeros(128, np.uint8), {128: 0}, r"got \{128: 0\}"),
        (np.zeros(128, np.uint8), {3: 256}, r"got \{3: 256\}"),
        (np.zeros(128, np.uint8), {3: 1.5, 4: 7}, r"whole numbers, got \{3: 1.5\}"),
        (np.zeros(128, np.uint8), {1.5: 3}, r"got \{1.5: 3\}"),
        (np.zeros(128, np.uint8), {"3": 1}, r"got \{'3': 1\}"),
        (np.zeros(128, np.uint8), {3: None}, r"got \{3: None\}"),
        (np.zeros(128, np.uint8), {3: float("nan")}, r"got \{3: nan\}"),
    ],
)
def test_edits_without_meaning_are_refused(ram, edits, message):
    with pytest.raises(ValueError, match=message):
        envs.edit_ram(ram, edits)


@pytest.mark.parametrize(
    ("game", "arguments", "message"),
    [
        ("Pong-v5", ([0, 6],), r"action 6 at step 1: Pong-v5 has the actions 0 to 5; a preset with full_actions=True"),
        ("Pong-v5", ([-1],), "action -1 at step 0"),
        ("Pong-v5", ([0.5],), "action 0.5 at step 0"),
        ("Pong-v5", (np.zeros((2, 1), int),), r"action \[0\] at step 0"),
        ("Pong-v5", ([0], {}, 0, lambda obs: 18, 2), "action 18 at step 1"),
        ("Pong-v5", ([],), "no actions are given: give one or more, or `then` and `steps`"),
        ("Pong-v5", ([0, 0], {0.5: {1: 1}}), r"edits at steps \[0.5\]"),
        ("Pongg-v5", ([0],), r"'Pongg-v5' is no Atari game.*near it: \['Pong-v5'"),
        ("Breakout-MinAtar", ([0],), r"'Breakout-MinAtar' is no Atari game"),
    ],
)
def test_games_and_actions_that_there_are_not_are_refused(game, arguments, message):
    with pytest.raises(ValueError, match=message):
        envs.replay(envs.make_preset("plain", game), *arguments)


def test_every_game_of_envpool_has_its_rom():
    from rljax_viz.envs.door import list_envs

    names = list_envs("envpool-atari")
    for name in ("TicTacToe3d-v5", "SpaceInvaders-v5", "Qbert-v5"):
        assert name in names and AleGame(envs.make_preset("dqn", name), 0).ale.getRAM().shape == (128,)


def test_an_edit_is_a_copy_and_has_its_step():
    ram = np.zeros(128, np.uint8)
    assert envs.edit_ram(ram, {4: 7})[4] == 7 and not ram.any()
    with pytest.raises(ValueError, match=r"edits at steps \[5\], but there are 2 actions"):
        envs.replay(envs.make_preset("plain", "Pong-v5"), [0, 0], {5: {1: 1}})


def test_without_ale_py_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(ImportError, match=r"needs ale-py: pip install 'rljax-viz\[atari-ram\]'"):
        envs.replay(envs.make_preset("plain", "Pong-v5"), [0])
