"""A pellet of MsPacman laid beside a trajectory that the agent knows, by its memory (extra `atari-ram`): figures 7 and 13.

The greedy agent's game from one seed is the known one. A pellet that it ate a moment ago is laid back where it was, beside
its way, and the agent plays on. Places that the known actions would pass once more are left out: fetching says nothing there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

GAME = "MsPacman-v5"
PELLETS = slice(59, 101)  # bytes of the memory with a bit for each pellet, set while it lies there (seen at play, tests)
AFTER = 6  # steps between eating a pellet and finding it there again: it is beside the way, and can still be seen


class Eaten(NamedTuple):
    """One pellet: `bit` of byte `address` went out with the action of `step`."""

    step: int
    address: int
    bit: int


def eaten(ram: np.ndarray, reward: np.ndarray) -> list[Eaten]:
    """The pellets of a game ram[T 128] uint8, reward[T]: ten points, and one bit of all that went out."""
    found = []
    for t in np.flatnonzero(reward[:-1] >= 10):
        gone = ram[t, PELLETS] & ~ram[t + 1, PELLETS]
        (places,) = np.nonzero(gone)
        if len(places) == 1 and int(gone[places[0]]).bit_count() == 1:
            found.append(Eaten(int(t), PELLETS.start + int(places[0]), int(gone[places[0]])))
    return found


def lies(ram: np.ndarray, pellet: Eaten) -> np.ndarray:
    """Whether the pellet lies there, [T], in a game ram[T 128]."""
    return (ram[:, pellet.address] & pellet.bit) > 0


def compare(
    preset: Any, choose: Callable[[np.ndarray], int], seed: int, steps: int, places: int, after: int = AFTER
) -> dict[str, Any]:
    """`choose` (obs[H W C] -> action) plays its known game of `steps`, and again with each of a few pellets laid back.

    `games`: (pellet, the step of the edit, the known game, the one with the pellet) of those that say something.
    """
    from rljax_viz.envs import replay

    known = replay(preset, (), seed=seed, then=choose, steps=steps)
    over = int(known.ended.argmax()) if known.ended.any() else steps - 1
    candidates = [one for one in eaten(known.ram, known.reward) if one.step + after + 10 < over]
    chosen = [candidates[i] for i in np.unique(np.linspace(0, len(candidates) - 1, places).astype(int))] if candidates else []
    games = []
    for pellet in chosen:
        at = pellet.step + after
        edits = {at: {pellet.address: int(known.ram[at, pellet.address]) | pellet.bit}}
        blind = replay(preset, known.action.tolist(), edits, seed)
        if not lies(blind.ram[at + 1 :], pellet).all():
            continue  # the known way leads over it again
        games.append((pellet, at, known, replay(preset, known.action[:at].tolist(), edits, seed, choose, steps)))
    return {"length": over + 1, "games": games}


def measured(games: list[Any], chance: Callable[[np.ndarray, np.ndarray], float]) -> dict[str, list[Any]]:
    """Of `compare`'s games: the share of actions as in the known one after the edit, that by chance, and fetched or not."""
    told: dict[str, list[Any]] = {"same": [], "chance": [], "fetched": []}
    for pellet, at, known, changed in games:
        ends = [int(one.ended.argmax()) + 1 if one.ended.any() else len(one.ended) for one in (known, changed)]
        end = min(ends)
        first, second = known.action[at:end], changed.action[at:end]
        told["same"].append(float((first == second).mean()))
        told["chance"].append(chance(first, second))
        told["fetched"].append(not lies(changed.ram[at + 1 : ends[1]], pellet).all())
    return told


def draw(path: Path, label: str, names: tuple[str, ...], game: Any) -> str:
    """Six moments of the known game above, from the edit on, and of the game with the pellet below."""
    from experiments.pictures import write_pictures

    _, at, known, changed = game
    end = min(int(one.ended.argmax()) + 1 if one.ended.any() else len(one.ended) for one in (known, changed))
    moments = np.unique(np.linspace(at + 1, min(at + 41, end - 1), 6).astype(int))
    rows = {
        title: {f"step {t}: {names[played.action[t]]}": played.rgb[t] for t in moments}
        for title, played in (("known game", known), ("a pellet more", changed))
    }
    foot = f"A pellet eaten {AFTER} steps before was laid back at step {at}. Above each frame: the step, and the action."
    return write_pictures(path, rows, f"{label}: a known game, and the same with a pellet more", foot, {})
