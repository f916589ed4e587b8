"""Atari-HEAD: what people looked at while they played, trial by trial, and the same frames as an agent sees them.

A trial is `<number>_<rest>.tar.bz2` of PNGs and `<number>_<rest>.txt` of gaze; `meta_data.csv` says which game a number
is. Zhang et al. 2020, arXiv:1903.06754, zenodo.org/records/3451402; the matching of frames is that of Nikulin et al. 2019,
arXiv:1908.02511, section 4.3 (FACTS, seed 004).
"""

import csv
import tarfile
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.images import area_resize, grey

HEIGHT, WIDTH = 210, 160
SKIP, STACK = 4, 4


class GazeRow(NamedTuple):
    """One emulator frame of a trial. `number` counts from 1; `gaze` [n 2] is x, y in pixels of the 160x210 frame; what the
    file calls null is None, or no gaze."""

    number: int
    episode: int | None
    score: float | None
    milliseconds: float | None
    reward: float | None
    action: int | None
    gaze: np.ndarray


def read_gaze(path: str | Path) -> dict[int, GazeRow]:
    """The rows of a trial's `.txt`, by frame number.

    Columns: frame_id (its name ends in _<number>), episode_id, score, duration(ms), unclipped_reward, action, and then
    x0, y0, x1, y1, ..., as many as there are. Raises ValueError with the line for a row that is not one.
    """
    rows = {}
    with Path(path).open(newline="") as file:
        for line, cells in enumerate(csv.reader(file), 1):
            if line == 1 or not cells:
                continue
            try:
                rows_number = int(cells[0].rpartition("_")[2])
                values = [None if cell.strip() in ("null", "") else float(cell) for cell in cells[1:]]
                episode, score, duration, reward, action = (values + [None] * 5)[:5]
                gaze = [value for value in values[5:] if value is not None]
                if len(gaze) % 2:
                    raise ValueError("an x without its y")
            except ValueError as error:
                raise ValueError(f"{path}, line {line}: {error}; expected frame_id, five columns and pairs of x, y") from None
            rows[rows_number] = GazeRow(
                rows_number, None if episode is None else int(episode), score, duration, reward,
                None if action is None else int(action), np.asarray(gaze, np.float64).reshape(-1, 2),
            )  # fmt: skip
    return rows


def fixation_map(gaze: np.ndarray, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """int32 [H W]: how many gazes fall into each pixel of a frame brought to `size`; those outside are dropped.

    gaze[n 2] is x, y in pixels of 160x210. Halves are rounded to even, as Python rounds.
    """
    height, width = size
    counts = np.zeros(size, np.int32)
    x, y = np.asarray(gaze, np.float64).reshape(-1, 2).T
    y = y if height == HEIGHT else y / HEIGHT * height  # 4.5 / 210 * 210 is not 4.5
    x = x if width == WIDTH else x / WIDTH * width
    rows, columns = np.rint(y).astype(int), np.rint(x).astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    np.add.at(counts, (rows[inside], columns[inside]), 1)
    return counts


def frames_of_step(index: int) -> list[int]:
    """The emulator frames, counted from 0, in the stack that an agent sees at frame `index`: two of every four, the newest
    first; those before the game are left out."""
    return [index - back for back in range(STACK * SKIP) if back % SKIP in (0, 1) and index - back >= 0]


def steps_of(frames: int) -> range:
    """The frames, counted from 0, at which an agent acts in a trial of so many frames."""
    last = frames - 1
    return range(0, (last - SKIP if last and last % SKIP == 0 else last) + 1, SKIP)


def read_games(path: str | Path) -> dict[int, str]:
    """Trial number -> envpool's name of its game, of `meta_data.csv`; rows without a number or a game are left out."""
    with Path(path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    if rows and not {"TrialNumber", "Game"} <= set(rows[0]):
        raise ValueError(f"{path} has the columns {list(rows[0])}, expected TrialNumber and Game")
    games = {}
    for row in rows:
        if row["TrialNumber"] and row["Game"]:
            words = row["Game"].strip().split("_")
            name = "".join(word[:1].upper() + word[1:] for word in words)
            games[int(float(row["TrialNumber"]))] = f"{'MsPacman' if name == 'Mspacman' else name}-v5"
    return games


class Trial:
    """One trial: `frames`, `gaze`, and, for each step that an agent would take, what it sees and where people looked.

    `frames` are read into memory at first use (30,000 frames of 210x160 are 3 GB). Raises FileNotFoundError for a missing
    file, ValueError for frames of another size or with gaps.
    """

    def __init__(self, archive: str | Path):
        self.archive = Path(archive)
        stem = self.archive.name.removesuffix(".tar.bz2")
        self.number = int(stem.split("_")[0])
        self.gaze_path = self.archive.with_name(f"{stem}.txt")
        for path in (self.archive, self.gaze_path):
            if not path.exists():
                raise FileNotFoundError(f"trial {self.number} lacks {path}: it is NAME.tar.bz2 and NAME.txt, side by side")

    @cached_property
    def gaze(self) -> dict[int, GazeRow]:
        return read_gaze(self.gaze_path)

    @cached_property
    def frames(self) -> np.ndarray:
        """uint8 [N 210 160 3], in the order of their numbers."""
        from PIL import Image

        found = {}
        with tarfile.open(self.archive, "r:bz2") as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".png") and (file := archive.extractfile(member)):
                    with Image.open(file) as image:
                        found[int(Path(member.name).stem.rpartition("_")[2])] = np.asarray(image.convert("RGB"))
        if not found:
            raise ValueError(f"{self.archive} holds no PNGs")
        if sorted(found) != list(range(1, len(found) + 1)):
            gap = next(n for n in range(1, len(found) + 1) if n not in found)
            raise ValueError(f"{self.archive} holds {len(found)} frames, but none is number {gap}: is the file whole?")
        shapes = {frame.shape for frame in found.values()}
        if shapes != {(HEIGHT, WIDTH, 3)}:
            raise ValueError(f"{self.archive} holds frames of {sorted(shapes)}, expected 210x160 in colour")
        return np.stack([found[number] for number in sorted(found)])

    @cached_property
    def steps(self) -> range:
        return steps_of(len(self.frames))

    def observations(self, steps: Iterable[int]) -> np.ndarray:
        """uint8 [n 84 84 4]: what an agent of Baselines sees at each of `steps`: the maximum of two frames, grey, 84x84 by
        area, four of them, the newest last, black before the game begins."""
        blank = np.zeros((84, 84), np.uint8)
        stacks = []
        for step in steps:
            whens = [step - SKIP * back for back in range(STACK - 1, -1, -1)]
            stacks.append(np.stack([self._seen(when) if when >= 0 else blank for when in whens], axis=-1))
        return np.stack(stacks)

    @lru_cache(maxsize=256)  # noqa: B019  (a trial is as long-lived as its cache)
    def _seen(self, when: int) -> np.ndarray:
        pair = self.frames[max(when - 1, 0) : when + 1].max(axis=0)
        return np.asarray(_small(pair))

    def begins(self, steps: Iterable[int]) -> np.ndarray:
        """bool [n]: a game begins at this one of `steps`, in order: at the first of them, and where the number of the episode
        changes, as far as the gaze file knows it."""
        found, last = [], None
        for step in steps:
            row = self.gaze.get(step + 1)
            now = last if row is None or row.episode is None else row.episode
            found.append(not found or (last is not None and now != last))
            last = now
        return np.array(found, bool)

    def fixations(self, steps: Iterable[int], size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
        """int32 [n H W]: where people looked in the eight frames of each step, all of them together."""
        return np.stack([fixation_map(self._gaze_at(step), size) for step in steps])

    def _gaze_at(self, step: int) -> np.ndarray:
        rows = [self.gaze[index + 1].gaze for index in frames_of_step(step) if index + 1 in self.gaze]
        return np.concatenate([np.zeros((0, 2)), *rows])


@jax.jit
def _small(colours: jax.Array) -> jax.Array:
    return jnp.rint(area_resize(jnp.rint(grey(colours)), (84, 84))).astype(jnp.uint8)


def trials_in(folder: str | Path) -> list[Trial]:
    """Every trial in `folder`, by number. Raises FileNotFoundError if there is none."""
    archives = sorted(Path(folder).rglob("*.tar.bz2"), key=lambda path: int(path.name.split("_")[0]))
    if not archives:
        fix = "unpack a game of Atari-HEAD there (zenodo.org/records/3451402)"
        raise FileNotFoundError(f"{folder} holds no <trial>_*.tar.bz2: {fix}")
    return [Trial(path) for path in archives]
