"""Does an agent look where people look? Its maps against the gaze of Atari-HEAD's players, on their frames."""

import functools
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..images import mirror_resize
from ..measure import kl_divergence, nss, shuffled_auc
from ..measure.atari_head import HEIGHT, STACK, WIDTH, Trial, read_games, read_lengths, trials_in
from ..sweeps import map_frames
from .agent import Agent
from .mapping import make_explain, scores_for
from .past import remembered

GAZE_METRICS = ("nss", "kl_divergence", "shuffled_auc")
OTHERS = 10  # frames whose fixations stand for the rest of the trial
_BLOCK = 256


class GazeScore(NamedTuple):
    """Means over the steps of one trial on which each metric is defined, in the order of GAZE_METRICS; `undefined` counts the
    others. `trial` is a number, or "mean" of several."""

    trial: int | str
    method: str
    score: str
    steps: int
    means: tuple[float, ...]
    undefined: tuple[int, ...]


def evaluate_gaze(
    agent: Agent,
    folder: str | Path,
    methods: Sequence[str],
    score_names: Sequence[str],
    *,
    layer: str | None = None,
    most_steps: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    watch: Callable[[str, int, int], None] = lambda what, done, all: None,
) -> list[GazeScore]:
    """Every method and score on every trial of the agent's game in `folder` (of its first `most_steps` steps).

    Maps are taken without their sign, brought to 210x160 as the paper does (`images.mirror_resize`), and compared with the
    fixations of the eight emulator frames that the agent sees; the other frames of shuffled AUC are drawn from the same
    trial. "chosen" is the action that the agent would take. By `meta_data.csv` (see `trials_of`) trials of other
    games are left out; that there is none is warned of, and so is a trial that ends before its table says. Trials that cannot
    be read, or in which nobody looks anywhere, are left out with a warning. One trial is in memory at a time.
    Agents that see fewer than four frames see the newest of the four. An agent that remembers sees the trial in order and
    carries its memory along, which is empty where a game begins: what it would remember of the person's game.
    Written to the JSON file `out` too, if it is given, with what was compared and the means over trials.
    Raises FileNotFoundError for a folder without trials; ValueError for an agent that does not see 84x84 grey frames, at most
    four at a time, for `most_steps` under 1, and where no trial is left.
    """
    if most_steps is not None and most_steps < 1:
        raise ValueError(f"most_steps is 1 or more, got {most_steps}; leave it out for all steps")
    stack = agent.preset.stack
    if stack > STACK or tuple(agent.obs_shape) != (84, 84, stack) or agent.preset.padding not in ("zeros", "repeat"):
        told = "gaze is compared for agents of 84x84x4 Atari frames, or of fewer than four"
        raise ValueError(f"{agent.name} sees {list(agent.obs_shape)}; {told}")
    trials, lengths = trials_of(folder, agent.preset.env_id)
    wanted = [(m, name, make_explain(agent, m, name, layer)) for m in methods for name in scores_for(agent, m, score_names)]
    results, unread = [], []
    while trials:
        trial = trials.pop(0)
        try:
            steps = _steps(trial, lengths.get(trial.number), most_steps)
        except (ValueError, OSError) as error:
            unread.append(f"trial {trial.number} is left out: {error}")
            continue
        for method, score, explain in wanted:
            label = f"trial {trial.number}: {method}"
            results.append(_one(agent, trial, steps, method, score, explain, seed, lambda k, n, w=label: watch(w, k, n)))
        trial.forget()
    if not results:
        raise ValueError(f"no trial of {folder} can be compared; {'; '.join(unread)}")
    for told in unread:
        warnings.warn(told, stacklevel=2)
    if out is not None:
        what = {"agent": agent.name, "checkpoint": agent.checkpoint, "layer": layer, "most_steps": most_steps, "seed": seed}
        rows = [_plain(one) for one in (*results, *over_trials(results))]
        out.write_text(json.dumps({**what, "scores": rows}, indent=1) + "\n")
    return results


def over_trials(results: Sequence[GazeScore]) -> list[GazeScore]:
    """Of each method and score that was compared in several trials: the mean over those in which a metric has a value."""
    found = []
    for method, score in dict.fromkeys((one.method, one.score) for one in results):
        some = [one for one in results if (one.method, one.score) == (method, score)]
        if len(some) > 1:
            means, undefined = _means(np.array([one.means for one in some])), np.sum([one.undefined for one in some], 0)
            steps = sum(one.steps for one in some)
            found.append(GazeScore("mean", method, score, steps, means, tuple(undefined.tolist())))
    return found


def _means(values: np.ndarray) -> tuple[float, ...]:
    """Of each column of values[n 3], without its NaN."""
    return tuple(float(np.nanmean(column)) if not np.isnan(column).all() else float("nan") for column in values.T)


def _plain(one: GazeScore) -> dict[str, Any]:
    means = [None if mean != mean else mean for mean in one.means]  # JSON knows no NaN
    undefined = dict(zip(GAZE_METRICS, one.undefined, strict=True))
    named = dict(zip(GAZE_METRICS, means, strict=True))
    return {"trial": one.trial, "method": one.method, "score": one.score, "steps": one.steps, **named, "undefined": undefined}


def trials_of(folder: str | Path, env_id: str) -> tuple[list[Trial], dict[int, int]]:
    """The trials of a game in `folder`, and how many frames each has by `meta_data.csv`, which lies in `folder` or up to two
    levels above it (version 4 has `<game>/highscore/`).

    Warns where there is no such table, or it does not know a trial. Raises FileNotFoundError for a folder without any.
    """
    trials = trials_in(folder)
    at = Path(folder).resolve()
    table = next((path for above in (at, *at.parents[:2]) if (path := above / "meta_data.csv").exists()), None)
    if table is None:
        told = f"that its trials ({len(trials)}) are of {env_id}, and whole, cannot be checked"
        warnings.warn(f"{folder} has no meta_data.csv: {told}; it comes with Atari-HEAD, put it there", stacklevel=3)
        return trials, {}
    games = read_games(table)
    if unknown := [trial.number for trial in trials if trial.number not in games]:
        warnings.warn(f"{table} does not know the trials {unknown}: they are taken for {env_id}", stacklevel=3)
    if not (chosen := [trial for trial in trials if games.get(trial.number, env_id) == env_id]):
        raise FileNotFoundError(f"{folder} holds no trial of {env_id}, by its meta_data.csv")
    return chosen, read_lengths(table)


def _steps(trial: Trial, frames: int | None, most: int | None) -> list[int]:
    """The steps that are compared. Reads the trial; ValueError or OSError where that fails, or nobody looks anywhere."""
    rows, steps = trial.gaze, list(trial.steps)[:most]
    if not rows or not trial.looks(steps):
        what = "has no rows" if not rows else f"has no gaze in the first {len(steps)} steps"
        raise ValueError(f"{trial.gaze_path} {what}: is it whole, and of this trial?")
    if gaps := trial.gaps(frames):
        warnings.warn(f"{gaps}; what is there is compared", stacklevel=3)
    return steps


def _one(agent, trial, steps, method, score, explain, seed, watch) -> GazeScore:
    found: list[np.ndarray] = []
    rng = np.random.default_rng((seed, trial.number))
    # behind many steps the last one again: the last block is as long as the others, and runs the same programs
    rows = steps + steps[-1:] * (-len(steps) % _BLOCK if len(steps) > _BLOCK else 0)
    begins, memory = trial.begins(rows), None
    for at in range(0, len(rows), _BLOCK):
        some = rows[at : at + _BLOCK]
        obs = trial.observations(some)[..., -agent.preset.stack :]
        each, memory = remembered(agent, obs, begins[at : at + _BLOCK], memory)
        rest = () if each is None else (each,)
        actions = np.asarray(_greedy(agent.f, agent.params, obs, *rest))
        maps = map_frames(explain, agent.params, obs, None, rest=(actions, *rest))
        looks = trial.fixations(some)
        others = np.stack([trial.fixations(_others(rng, steps, k)).sum(0) for k in range(at, at + len(some))])
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.asarray(some))
        found.append(np.asarray(_metrics(keys, jnp.asarray(maps), jnp.asarray(looks), jnp.asarray(others))))
        watch(min(at + _BLOCK, len(steps)), len(steps))
    values = np.concatenate(found)[: len(steps)]
    undefined = tuple(int(n) for n in np.isnan(values).sum(0))
    return GazeScore(trial.number, method, score, len(values), _means(values), undefined)


def _others(rng: np.random.Generator, steps: Sequence[int], k: int) -> list[int]:
    """OTHERS of `steps` besides the k-th, drawn with replacement; the k-th itself where there is no other."""
    drawn = rng.integers(0, max(len(steps) - 1, 1), OTHERS)
    return [steps[min(n + (n >= k), len(steps) - 1)] for n in drawn]


@functools.partial(jax.jit, static_argnums=0)  # of one function: one program for all methods and trials
def _greedy(f: Callable, params: Any, *seen: Any) -> jax.Array:
    """The best action at each step."""

    def one(*row: Any) -> jax.Array:
        out = f(params, *row)
        return (out.logits if out.logits is not None else out.q).argmax()

    return jax.vmap(one)(*seen)


@jax.jit
def _metrics(keys: jax.Array, maps: jax.Array, looks: jax.Array, others: jax.Array) -> jax.Array:
    """[n 3] in the order of GAZE_METRICS."""

    def one(arguments):
        key, map, look, other = arguments
        map = mirror_resize(jnp.abs(map), (HEIGHT, WIDTH))
        return jnp.stack([nss(map, look), kl_divergence(map, look), shuffled_auc(key, map, look, other[None])])

    return jax.lax.map(one, (keys, maps, looks, others), batch_size=8)
