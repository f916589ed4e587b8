"""What would the agent have seen? Atari memory edited, and games replayed with an edit on the way. Extra `atari-ram`."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .ale_door import AleGame, AlePool
from .door import ALE_GAMES, list_envs
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

    Raises ValueError for another shape, an address that is not one of 0..127 or a value that is not one of 0..255.
    """
    ram = np.asarray(ram)
    if ram.shape != (128,) or ram.dtype != np.uint8:
        raise ValueError(f"an Atari memory is uint8[128], got {ram.dtype}{list(ram.shape)}, e.g. episodes.ram[row]")
    wrong = {a: v for a, v in edits.items() if not (_is_one_of(a, 128) and _is_one_of(v, 256))}
    if wrong:
        raise ValueError(
            f"edits are {{address 0..127: value 0..255}}, whole numbers, got {wrong}; address 0 is 0x80 of the console"
        )
    out = ram.copy()
    for address, value in edits.items():
        out[int(address)] = int(value)
    return out


def _is_one_of(number: Any, count: int) -> bool:
    """Is it a whole number, 0 to count - 1?"""
    try:
        return bool(0 <= number < count and int(number) == number)
    except (TypeError, ValueError):
        return False


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
    Raises ImportError with the fix; ValueError for an edit at a step that there is not, or as `edit_ram` does, for fewer
    `steps` than actions, or steps that nothing plays, for no step, a game that is not Atari's, and an action that it does not
    have.
    """
    if preset.env_id not in (known := (*list_envs("envpool-atari"), *ALE_GAMES)):
        near = difflib.get_close_matches(preset.env_id, known, 4, 0.3)
        raise ValueError(f"{preset.env_id!r} is no Atari game, and only their memory is edited; near it: {near}")
    edits, given = dict(edits or {}), len(actions)
    count = given if then is None and not steps else steps
    if count < given or (then is None and count > given):
        raise ValueError(f"{given} actions are given and {count} steps wanted: give steps of {given} or more, and `then`")
    if not count:
        raise ValueError("no actions are given: give one or more, or `then` and `steps`")
    if outside := [t for t in edits if not _is_one_of(t, count)]:
        raise ValueError(f"edits at steps {outside}, but there are {count} actions: 0 to {count - 1}")
    pool = AlePool(dataclasses.replace(preset, life_loss=False), [seed])
    (game,), (obs, _) = pool.games, pool.reset()
    actions = [_action(action, game, t) for t, action in enumerate(actions)]
    rows, reward, ended = [], 0.0, False
    for t in range(count):
        if t in edits:
            changed = edit_ram(game.ale.getRAM(), edits[t])
            game.write({int(address): int(changed[int(address)]) for address in edits[t]})
        seen = (np.moveaxis(obs[0], 0, -1), game.ale.getScreenRGB(), game.ale.getRAM())
        action = actions[t] if t < given else _action(then(seen[0]), game, t)  # type: ignore[misc]  # refused above: None
        if not ended:
            obs, (reward,), *_ = pool.step(np.array([action]))
            ended = game.done
        else:
            reward = 0.0
        rows.append((*seen, np.float32(reward), ended, np.int32(action)))
    return Replay(*(np.stack(column) for column in zip(*rows, strict=True)))


def _action(action: Any, game: AleGame, t: int) -> int:
    count, preset = len(game.actions), game.preset
    if not _is_one_of(action, count):
        more = "" if preset.full_actions else "; a preset with full_actions=True has all 18"
        raise ValueError(f"action {action} at step {t}: {preset.env_id} has the actions 0 to {count - 1}{more}")
    return int(action)
