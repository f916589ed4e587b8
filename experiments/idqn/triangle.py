"""A triangle of Space Invaders and its mirror image, set by the game's memory (extra `atari-ram`): figures 7 and 13.

A gun that stands at the left and shoots leaves a triangle: the farther to the right, the lower the invaders still reach. The
agent plays its game up to a step; there the invaders become that triangle in one game, its mirror image in another, and it
plays on. Does it stand elsewhere, and does it clear the one as well as the other?
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.claims import Claim, judge

GAME = "SpaceInvaders-v5"
ROWS = slice(18, 24)  # bytes of the memory, a row of six invaders each, the lowest first: bit 0 is the leftmost
LEFT_OVER, GUN = 17, 28  # how many invaders there are, and where the gun is (seen at play, tests)
RANGE = 85  # places that the gun can have, from left to right
TRIANGLE = tuple(0b111111 & (0b111111 << (5 - row)) for row in range(6))  # from the lowest row, one at the right, to all
MIRRORED = tuple(0b111111 >> (5 - row) for row in range(6))
SHAPES = {"triangle": TRIANGLE, "mirrored": MIRRORED}


def edits_for(rows: tuple[int, ...]) -> dict[int, int]:
    """What makes the invaders those of `rows`, from the lowest: {address: value}."""
    return {ROWS.start + k: row for k, row in enumerate(rows)} | {LEFT_OVER: sum(row.bit_count() for row in rows)}


def invaders(ram: np.ndarray) -> np.ndarray:
    """How many there are, [T], in a game ram[T 128]."""
    return np.unpackbits(ram[:, ROWS], axis=1).sum(1)


def compare(preset: Any, choose: Callable[[np.ndarray], int], seed: int, at: int, steps: int) -> dict[str, Any]:
    """The game of `choose` (obs[H W C] -> action) up to step `at`, and from there with each of SHAPES: {shape: Replay}.

    Empty where the game was over before.
    """
    from rljax_viz.envs import replay

    known = replay(preset, (), seed=seed, then=choose, steps=at)
    if known.ended.any():
        return {}
    return {
        shape: replay(preset, known.action.tolist(), {at: edits_for(rows)}, seed, choose, at + steps)
        for shape, rows in SHAPES.items()
    }


def measured(games: list[dict[str, Any]], at: int) -> dict[str, dict[str, list[float]]]:
    """Of `compare`'s games, by shape: the share of its invaders that were shot, and where the gun stood (its mean place)."""
    told: dict[str, dict[str, list[float]]] = {shape: {"shot": [], "place": []} for shape in SHAPES}
    for shapes in games:
        for shape, game in shapes.items():
            end = int(game.ended.argmax()) if game.ended.any() else len(game.ended) - 1
            left = invaders(game.ram[at : end + 1])
            left = left[: np.flatnonzero(np.diff(left, append=99) > 0)[0] + 1]  # all shot: the next wave comes
            told[shape]["shot"].append(float(1 - left[-1] / left[0]))
            told[shape]["place"].append(float(game.ram[at : end + 1, GUN].mean()))
    return told


def claims(label: str, told: dict[str, dict[str, list[float]]]) -> list[Claim]:
    """Of `measured`, pair by pair: does the agent stand where it stood, and clear the mirror image worse?"""
    shot, place = (np.subtract(told["triangle"][k], told["mirrored"][k]) for k in ("shot", "place"))
    if len(shot) < 2:
        return [judge("Figs. 7, 13", f"{label} fails on an inverted triangle of invaders", None, "its games are too short")]
    error = float(shot.std(ddof=1) / len(shot) ** 0.5)
    part, other = (np.mean(told[shape]["shot"]) for shape in SHAPES)
    words = f"{part:.0%} of the invaders shot, {other:.0%} of the mirror image ({shot.mean():+.0%} +- {2 * error:.0%})"
    away, worse = float(np.abs(place).mean()) / RANGE, bool(shot.mean() > 2 * error)
    return [
        judge("Figs. 7, 13", f"{label} clears the triangle, and fails on its mirror image", worse, words),
        judge("Figs. 7, 13", f"{label} repeats its strategy: its gun stands where it stood", bool(away < 0.1),
              f"mean places differ by {away:.0%} of the width (held to 10 %), {len(shot)} games"),
    ]  # fmt: skip


def draw(path: Path, label: str, names: tuple[str, ...], shapes: dict[str, Any], at: int) -> str:
    """Six moments of the game with the triangle above, and with its mirror image below."""
    from experiments.pictures import write_pictures

    rows = {}
    for shape, game in shapes.items():
        end = int(game.ended.argmax()) if game.ended.any() else len(game.ended) - 1
        moments = np.unique(np.linspace(at + 2, end, 6).astype(int))
        rows[shape] = {f"step {t}: {names[game.action[t]]}": game.rgb[t] for t in moments}
    foot = f"The invaders were set at step {at}. Above each frame: the step, and the action."
    return write_pictures(path, rows, f"{label}: invaders in a triangle, and in its mirror image", foot, {})
