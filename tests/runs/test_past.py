"""Maps of the frames before the newest: by what an agent remembers, and of each frame of a stack."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.runs import (
    estimate_run,
    explain_run,
    load_agent,
    make_config,
    make_explain,
    methods_of,
    open_run,
    record,
    report_run,
    train_run,
)
from rljax_viz.runs.past import remembered
from rljax_viz.store import open_maps
from tests.runs.conftest import REMEMBERS
from tests.test_cli import rljax_viz

PAST = 4


@pytest.fixture(scope="module", params=["drqn", pytest.param("a3c-lstm", marks=pytest.mark.long)])
def past(request, tmp_path_factory):
    """An agent that remembers, two of its games, and the slopes of five frames at every step."""
    config = make_config("Breakout-MinAtar", request.param, **REMEMBERS[request.param])
    run = train_run(config, tmp_path_factory.mktemp("past") / "run")
    agent = load_agent(run)
    record(agent, run, 2, seed=3)
    explain_run(agent, run, ["gradient"], ["value"], past=PAST, dtype="float32")
    return run, agent


def test_maps_are_the_change_of_the_score_when_the_games_are_run_again(past):
    """Central differences in a direction of each past frame, from an empty memory at the beginning of the game."""
    run, agent = past
    episodes, maps = open_run(run).episodes, open_run(run).maps("gradient", past=PAST)
    assert maps.shape == (len(episodes), PAST + 1, 10, 10) and maps.attributes["past"] == PAST and maps.done.all()
    second = episodes.episodes[1]
    frames = np.asarray(episodes.observations[second.start : second.stop], np.float32)
    empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), agent.memory)
    step = jax.jit(lambda obs, memory: agent.f(agent.params, obs, memory))

    def value(seen):
        memory = empty
        for obs in seen:
            out = step(obs, memory)
            memory = out.carry
        return float(out.value)

    row, eps = 6, 0.01  # units whose input is near 0, as where nothing is seen, do not turn so near
    towards = np.random.default_rng(0).normal(size=(10, 10)).astype(np.float32)
    for back in range(PAST + 1):
        ends = []
        for sign in (1, -1):
            changed = frames[: row + 1].copy()
            changed[row - back] += sign * eps * towards[..., None]
            ends.append(value(changed))
        want = (ends[0] - ends[1]) / (2 * eps)
        got = (maps[second.start + row][PAST - back] * towards).sum()
        size = np.abs(maps[second.start + row][PAST - back]).max()
        assert size > 0
        np.testing.assert_allclose(got, want, atol=0.1 * size)


def test_windows_do_not_reach_over_the_beginning_of_a_game(past):
    run, _ = past
    episodes, maps = open_run(run).episodes, open_run(run).maps("gradient", past=PAST)
    for game in episodes.episodes:
        for step in range(PAST + 2):
            there = np.abs(maps[game.start + step]).max((1, 2)) > 0
            assert not there[: max(0, PAST - step)].any() and there[max(0, PAST - step) :].all()


def test_the_newest_is_the_map_of_the_newest_alone(past):
    run, agent = past
    explain_run(agent, run, ["gradient", "grad_cam"], ["value"], dtype="float32")
    explain_run(agent, run, ["grad_cam"], ["value"], past=PAST, dtype="float32")
    for method in ("gradient", "grad_cam"):
        alone, window = open_run(run).maps(method)[:], open_run(run).maps(method, past=PAST)[:]
        np.testing.assert_allclose(window[:, -1], alone, atol=1e-5 * np.abs(alone).max())
    with pytest.raises(KeyError, match="has no maps 'gradient' of 'value' at None with 3 past frames"):
        open_run(run).maps("gradient", past=3)


def test_they_are_resumed_and_those_of_another_setting_are_refused(past):
    run, agent = past
    (done,) = explain_run(agent, run, ["gradient"], ["value"], past=PAST, dtype="float32")
    assert done.skipped == done.frames
    rows = np.array([1, 7, 20])
    (some,) = explain_run(agent, run, ["gradient"], ["value"], past=2, rows=rows)
    maps = open_maps(some.path)
    np.testing.assert_array_equal(np.flatnonzero(maps.done), rows)
    want = open_run(run).maps("gradient", past=PAST)[rows][:, -3:]
    np.testing.assert_allclose(maps[rows], want, atol=2e-3 * np.abs(want).max())
    (rest,) = explain_run(agent, run, ["gradient"], ["value"], past=2)
    assert rest.skipped == 3 and open_maps(some.path).done.all()
    with pytest.raises(ValueError, match="holds other maps: dtype is 'float16' there and 'float32' here"):
        explain_run(agent, run, ["gradient"], ["value"], past=2, dtype="float32")
    other = agent._replace(checkpoint="another")
    with pytest.raises(ValueError, match=r"holds other maps: .*'another' here"):
        explain_run(other, run, ["gradient"], ["value"], past=2, any_checkpoint=True)
    shutil.rmtree(some.path)
    (estimate,) = estimate_run(agent, run, ["gradient"], ["value"], past=2)
    assert estimate.frames == done.frames and estimate.gigabytes == pytest.approx(done.frames * (3 * 200 + 6) / 1e9)


def test_random_and_data_hungry_methods_too(past):
    run, agent = past
    explain_run(agent, run, ["smooth_grad", "expected_gradients"], ["value"], past=2, together=True, rows=None)
    for method in ("smooth_grad", "expected_gradients"):
        found = open_run(run).maps(method, past=2)[:]
        assert found.shape[1:] == (3, 10, 10) and np.isfinite(found).all() and (np.abs(found).max((0, 2, 3)) > 0).all()


def test_the_page_shows_the_newest_and_a_picture_all(past):
    run, _ = past
    (run / "past.png").unlink(missing_ok=True)
    page, _ = report_run(run, video=False)
    assert page.exists() and (run / "past.png").exists()
    maps = run.with_name("only past")
    shutil.copytree(run, maps)
    for path in (maps / "maps").glob("*.zarr"):
        if path.stem != f"gradient-value+past{PAST}":
            shutil.rmtree(path)
    page, _ = report_run(maps, video=False)
    assert '"method":"gradient"' in page.read_text()


def test_what_is_remembered_is_what_was_recorded(past):
    run, agent = past
    episodes = open_run(run).episodes
    begins = np.diff(episodes.episode[:], prepend=-1) != 0
    obs = np.asarray(episodes.observations[:])
    memory, last = remembered(agent, obs, begins)
    for i, leaf in enumerate(jax.tree.leaves(memory)):
        np.testing.assert_allclose(leaf, episodes[f"memory{i}"][:], atol=1e-5)
    first, at = remembered(agent, obs[:9], begins[:9])
    second, end = remembered(agent, obs[9:], begins[9:], at)
    for whole, a, b in zip(*map(jax.tree.leaves, (memory, first, second)), strict=True):
        np.testing.assert_allclose(whole, np.concatenate([a, b]), atol=1e-6)
    np.testing.assert_allclose(jax.tree.leaves(end)[0], jax.tree.leaves(last)[0], atol=1e-6)


def test_of_a_stack_each_frame_has_its_map():
    agent = load_agent("zoo:Breakout-v5")
    obs = np.random.default_rng(0).integers(0, 256, agent.obs_shape, dtype=np.uint8)
    slope = jax.grad(lambda x: agent.f(agent.params, x).value)(obs.astype(np.float32))
    for past in (1, 3):
        map = make_explain(agent, "gradient", "value", past=past)(agent.params, obs, np.int32(0))
        np.testing.assert_allclose(map, np.moveaxis(slope, -1, 0)[-past - 1 :], atol=1e-6 * np.abs(slope).max())
    assert "gradient" in methods_of(agent, 3) and "grad_cam" not in methods_of(agent, 3) and "grad_cam" in methods_of(agent)


def test_what_makes_no_sense_is_refused_with_the_fix(past, trained):
    _, agent = past
    stacked = load_agent("zoo:Breakout-v5")
    cases = [
        (stacked, "gradient", 4, "sees 4 frames at a time, none 4 steps ago: past is at most 3"),
        (stacked, "grad_cam", 3, r"grad_cam gives one picture of all 4 frames; those of each frame are made by gradient, "),
        (stacked, "occlusion", 1, "one picture of all 4 frames"),
        (load_agent(trained), "gradient", 1, "remembers nothing and sees 1 frames .* none 1 steps ago: leave past out"),
        (load_agent("zoo:Breakout-v5-fls"), "attention_map", 1, "read the rows before, and leave past out"),
        (agent, "gradient", -1, "0 or more; got -1"),
        (agent._replace(preset=stacked.preset), "gradient", 2, r"a preset with stack=1\), or leave past out"),
    ]
    for who, method, back, message in cases:
        with pytest.raises(ValueError, match=message):
            make_explain(who, method, "value", past=back)


def test_the_command_line_makes_them_and_says_what_it_cannot(past, explained):
    run, _ = past
    out = rljax_viz("explain", str(run), "--method", "guided_backprop", "--score", "value", "--past", "3")
    assert out.returncode == 0, out.stderr
    assert open_run(run).maps("guided_backprop", past=3).done.all()
    out = rljax_viz("explain", str(explained), "--method", "gradient", "--score", "value", "--past", "3")
    assert out.returncode == 2 and "remembers nothing and sees 1 frames at a time" in out.stderr
    assert "Traceback" not in out.stderr and len(out.stderr.strip().splitlines()) == 1
