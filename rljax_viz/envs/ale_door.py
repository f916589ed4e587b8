"""The door to ale-py: Atari games whose memory is written to while they are played. Extra `atari-ram`.

`AlePool` answers as a pool of envpool does, so that everything behind the door is envpool's (envpool_door.py): the view,
the late reset, seeds under `vmap`. One game after the other, in Python: some hundred steps a second.
"""

import functools
import importlib
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..images.resize import areas
from .atari_actions import atari_action_names
from .env import Env
from .envpool_door import door_to
from .envpool_options import atari_options, columns_of
from .presets import Preset


def ale_py() -> Any:
    """The package. Raises ImportError with the fix where it is not installed."""
    try:
        return importlib.import_module("ale_py")
    except ImportError as error:
        raise ImportError("writing to the memory of Atari games needs ale-py: pip install 'rljax-viz[atari-ram]'") from error


# ---------------------------------------------------------------------------------------------------- edited games

_HUNDREDS, _TENS = 76, 77  # where Breakout keeps its score, two decimal digits a byte (seen at play, tests/envs)


def infinite_breakout(ram: np.ndarray) -> tuple[dict[int, int], int]:
    """The score goes back from 864 to 432 points, so that the wall of bricks returns for ever: `(edits, points lost)`.

    Breakout rebuilds its wall once, at 432 points, and ends at 864. Nikulin et al. 2019, arXiv:1908.02511, table 5.
    """
    digits = [int(ram[byte]) >> shift & 15 for byte in (_HUNDREDS, _TENS) for shift in (4, 0)]
    score = int("".join(map(str, digits)))
    return ({_HUNDREDS: 0x04, _TENS: 0x32}, score - 432) if score >= 864 else ({}, 0)


#: name -> (the game it is made of, edit(ram[128]) -> (bytes to write, points that the game will take back))
EDITED: dict[str, tuple[str, Callable[[np.ndarray], tuple[dict[int, int], int]]]] = {
    "BreakoutInfinite-v5": ("Breakout", infinite_breakout),
}


# ---------------------------------------------------------------------------------------------------------- one game


class AleGame:
    """One game as envpool plays it (its AtariEnv): frame skip, maximum of two frames, area resize, stack, lives."""

    def __init__(self, preset: Preset, seed: int):
        ale = ale_py()
        game, self._edit = EDITED.get(preset.env_id, (preset.env_id.removesuffix("-v5"), None))
        ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)
        self.ale = ale.ALEInterface()
        self.ale.setInt("random_seed", seed % 2**31)
        self.ale.setFloat("repeat_action_probability", preset.sticky)
        self.ale.loadROM(ale.roms.get_rom_path(re.sub(r"(?<!^)(?=[A-Z0-9])", "_", game).lower()))
        self.actions = self.ale.getLegalActionSet() if preset.full_actions else self.ale.getMinimalActionSet()
        self.preset, self._rng, self._owed = preset, np.random.default_rng(seed), 0
        self._fires = preset.fire_reset and len(self.actions) > 1 and self.actions[1] == ale.Action.FIRE
        self._screens = [self._screen(), self._screen()]
        height, width = preset.height or 210, preset.width or 160
        self._rows, self._columns = areas(210, height), areas(160, width).T
        self.stack: list[np.ndarray] = []
        self.over, self.done, self._elapsed, self._lives = True, True, 0, 0

    def _screen(self) -> np.ndarray:
        return self.ale.getScreenGrayscale() if self.preset.grey else self.ale.getScreenRGB()

    def _act(self, action: Any) -> float:
        reward = self.ale.act(action) + self._owed
        self._owed = 0
        if self._edit is not None:
            edits, self._owed = self._edit(self.ale.getRAM())
            self.write(edits)
        return float(reward)

    def write(self, edits: Mapping[int, int]) -> None:
        """Writes bytes to the game's memory: {address: value}."""
        for address, value in edits.items():
            self.ale.setRAM(address, value)

    def _show(self, screen: np.ndarray, fill: bool) -> None:
        """Appends a frame [c h w] to the stack; `fill` repeats it."""
        if self._rows.shape[0] != 210 or self._columns.shape[1] != 160:
            planes = np.moveaxis(np.atleast_3d(screen), -1, 0).astype(np.float32)
            frame = np.rint(self._rows @ planes @ self._columns).astype(np.uint8)
        else:
            frame = np.moveaxis(np.atleast_3d(screen), -1, 0)
        size = self.preset.stack
        self.stack = [frame] * size if fill else [*self.stack[1 - size :], frame] if size > 1 else [frame]

    def reset(self) -> None:
        """A new game; after a lost life (`life_loss`) the same one goes on."""
        whole = not self.preset.life_loss or self.over or self._elapsed >= self.limit
        if whole:
            self.ale.reset_game()
            self._elapsed, self._owed = 0, 0
        for _ in range(int(self._rng.integers(1, self.preset.noop_max + 1)) - int(self._fires)):
            self._act(self.actions[0])
            if self.ale.game_over():
                self.ale.reset_game()
                whole = True
        if self._fires:
            self._act(self.actions[1])
        self._screens[0] = self._screen()
        self._show(self._screens[0], whole)
        self.over = self.done = False
        self._lives = self.ale.lives()

    @property
    def limit(self) -> int:
        return self.preset.max_episode_steps or 27_000  # envpool's

    def step(self, action: int) -> tuple[float, bool, bool]:
        """`(reward, terminated, truncated)`, the lost life of `life_loss` being terminated too."""
        reward, left = 0.0, self.preset.frame_skip
        while left and not self.over:
            reward += self._act(self.actions[action])
            self.over = self.ale.game_over()
            if left <= 2:
                self._screens[2 - left] = self._screen()
            left -= 1
        if self.preset.frame_skip == 1:
            screen = self._screens[1]
        else:  # a game that ended early shows one frame, as envpool's does
            screen = np.maximum(*self._screens) if left == 0 else self._screens[0]
        self._show(screen, False)
        self._elapsed += 1
        truncated = self._elapsed >= self.limit and not self.over
        lives = self.ale.lives()
        lost = self.preset.life_loss and 0 < lives < self._lives
        self._lives = lives
        self.done = self.over or truncated or lost
        return reward, self.over or lost, truncated


class AlePool:
    """Games side by side, in the words of envpool's gymnasium interface; `[B C H W]`, and a late reset."""

    def __init__(self, preset: Preset, seeds: list[int]):
        self.games = [AleGame(preset, seed) for seed in seeds]
        self.action_space = SimpleNamespace(n=len(self.games[0].actions))

    def _answer(self) -> np.ndarray:
        return np.stack([np.concatenate(game.stack) for game in self.games])

    def _info(self, reward: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "reward": reward, "terminated": np.array([int(game.over) for game in self.games]),
            "ram": np.stack([game.ale.getRAM() for game in self.games]),
            "lives": np.array([game.ale.lives() for game in self.games], np.int32),
        }  # fmt: skip

    def reset(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        for game in self.games:
            game.reset()
        return self._answer(), self._info(np.zeros(len(self.games), np.float32))

    def step(self, actions: np.ndarray):
        told = []
        for game, action in zip(self.games, actions, strict=True):
            if game.done:
                game.reset()
                told.append((0.0, False, False))
            else:
                told.append(game.step(int(action)))
        reward, terminated, truncated = (np.array(column) for column in zip(*told, strict=True))
        reward = reward.astype(np.float32)
        return self._answer(), reward, terminated, truncated, self._info(reward)

    def render(self, env_ids: np.ndarray) -> np.ndarray:
        return np.stack([self.games[i].ale.getScreenRGB() for i in env_ids])


def make_ale(preset: Preset, num_envs: int, recording: bool = False) -> Env:
    """`num_envs` games by ale-py: those of EDITED, or any Atari game by envpool's name. With `recording`, as envpool's door.

    Differs from envpool: the numbers of no-ops at a reset are drawn from another generator; RAM, rewards, lives and ends are
    equal, but the area resize rounds up to one pixel in 4,000 the other way, by one level of grey (Space Invaders; Breakout
    one in 80,000).
    Raises ImportError with the fix where ale-py is missing; ValueError for options that the games do not have.
    """
    ale_py()
    atari_options(preset)  # refuses what neither can do
    game = EDITED.get(preset.env_id, (preset.env_id.removesuffix("-v5"),))[0]
    names = functools.partial(atari_action_names, game)
    return door_to(preset, functools.partial(AlePool, preset), columns_of(False, recording), num_envs, names)
