"""What would the agent have seen? Atari memory edited, and games replayed with an edit on the way. Extra `atari-ram`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .ale_door import AlePool
from .presets import Preset

Edits = Mapping[int, int]


class Replay(NamedTuple):
    """Of T actions, what was there BEFORE each of them: obs[T H W C], rgb[T 210 160 3], ram[T 128]; `reward[T]` is what it
    brought, and `ended[T]` whether the game was over with it (nothing is played after that: the last rows repeat).
    `action[T]` is what was played."""

    obs: np.ndarray
    rgb: np.ndarray
    ram: np.ndarray
    reward: np.ndarray
    ended: np.ndarray
    action: np.ndarray


def edit_ram(ram: np.ndarray, edits: Edits) -> np.ndarray:
    """A copy of ram[128] uint8 with {address: value} written to it.

    Raises ValueError for another shape, an address outside 0..127 or a value outside 0..255.
    """
    ram = np.asarray(ram)
    if ram.shape != (128,) or ram.dtype != np.uint8:
        raise ValueError(f"an Atari memory is uint8[128], got {ram.dtype}{list(ram.shape)}, e.g. episodes.ram[row]")
    wrong = {a: v for a, v in edits.items() if not (0 <= a < 128 and 0 <= v < 256)}
    if wrong:
        raise ValueError(f"edits are {{address 0..127: value 0..255}}, got {wrong}; address 0 is 0x80 of the console")
    out = ram.copy()
    for address, value in edits.items():
        out[address] = value
    return out


def replay(
    preset: Preset,
    actions: Sequence[int],
    edits: Mapping[int, Edits] | None = None,
    seed: int = 0,
    then: Callable[[np.ndarray], int] | None = None,
    steps: int = 0,
) -> Replay:
    """Plays `actions` from the start of a game, writing `edits[t]` to its memory before action t; needs ale-py.

    Where `then` is given (obs[H W C] -> action), it plays on, up to `steps` actions in all: what would the agent have done?
    The same preset, actions and seed give the same game, so that two replays differ by the edits alone. An edit is in
    `ram[t]` at once, on the screen from the next frame on: a picture is drawn while the game runs.
    Raises ImportError with the fix; ValueError for an edit at a step that there is not, or as `edit_ram` does, and for
    fewer `steps` than actions, or steps that nothing plays.
    """
    edits, given = dict(edits or {}), len(actions)
    count = given if then is None and not steps else steps
    if count < given or (then is None and count > given):
        raise ValueError(f"{given} actions are given and {count} steps wanted: give steps of {given} or more, and `then`")
    if outside := [t for t in edits if not 0 <= t < count]:
        raise ValueError(f"edits at steps {outside}, but there are {count} actions: 0 to {count - 1}")
    pool = AlePool(dataclasses.replace(preset, life_loss=False), [seed])
    (game,), (obs, _) = pool.games, pool.reset()
    rows, reward, ended = [], 0.0, False
    for t in range(count):
        if t in edits:
            changed = edit_ram(game.ale.getRAM(), edits[t])
            game.write({address: int(changed[address]) for address in edits[t]})
        seen = (np.moveaxis(obs[0], 0, -1), game.ale.getScreenRGB(), game.ale.getRAM())
        action = int(actions[t] if t < given else then(seen[0]))  # type: ignore[misc]  # refused above where it is None
        if not ended:
            obs, (reward,), *_ = pool.step(np.array([action]))
            ended = game.done
        else:
            reward = 0.0
        rows.append((*seen, np.float32(reward), ended, np.int32(action)))
    return Replay(*(np.stack(column) for column in zip(*rows, strict=True)))
