"""Atari-HEAD: what people looked at while they played, trial by trial, and the same frames as an agent sees them.

A trial is `<number>_<rest>.tar.bz2` of PNGs and `<number>_<rest>.txt` of gaze; `meta_data.csv` says which game a number
is. Zhang et al. 2020, arXiv:1903.06754, zenodo.org/records/3451402; the matching of frames is that of Nikulin et al. 2019,
arXiv:1908.02511, section 4.3 (FACTS, seed 004).
"""

import contextlib
import csv
import io
import re
import tarfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.images import area_resize, grey

if TYPE_CHECKING:
    from PIL.Image import Image

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


COLUMNS = ("frame_id", "episode_id", "score", "duration(ms)", "unclipped_reward", "action", "gaze_positions")


def read_gaze(path: str | Path) -> dict[int, GazeRow]:
    """The rows of a trial's `.txt`, by frame number.

    Columns are found by the names in its first line, COLUMNS: frame_id (its name ends in _<number>), those in the middle as
    far as they are there, and behind the last, gaze_positions, x0, y0, x1, y1, ..., as many as there are. A pair with a null
    or NaN is left out, and a row that ends before its gaze has none. Raises ValueError for a file without that line, and with
    the line for a row that is not one.
    """
    rows = {}
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        names = [cell.strip().lower() for cell in next(reader, [])]
        if not names or names[0] != COLUMNS[0] or names[-1] != COLUMNS[-1] or set(names) - set(COLUMNS):
            got = f"begins with {','.join(names)[:80]!r}" if names else "is empty"
            raise ValueError(f"{path} {got}, expected the line {','.join(COLUMNS)}: is it a whole .txt of Atari-HEAD?")
        for line, cells in enumerate(reader, 2):
            if cells:
                try:
                    row = _gaze_row(names, cells)
                except ValueError as error:
                    told = f"expected {', '.join(names[:-1])} and pairs of x, y"
                    raise ValueError(f"{path}, line {line}: {error}; {told}") from None
                rows[row.number] = row
    return rows


def _gaze_row(names: Sequence[str], cells: Sequence[str]) -> GazeRow:
    if len(cells) < len(names) - 1:
        raise ValueError(f"{len(cells)} cells, where {len(names)} columns are named")
    values = [None if cell.strip() in ("null", "") else float(cell) for cell in cells[1:]]
    known = dict(zip(names[1:-1], values, strict=False))
    gaze = np.asarray(values[len(names) - 2 :], np.float64)  # None is NaN
    if len(gaze) % 2 and not np.isnan(gaze[-1]):
        raise ValueError("an x without its y")
    pairs = gaze[: len(gaze) // 2 * 2].reshape(-1, 2)
    whole = {}
    for name in ("episode_id", "action"):
        value = known.get(name)
        if value is not None and (value % 1 != 0 or (name == "action" and not 0 <= value < 18)):
            raise ValueError(f"{name} is {value:g}, not a whole number{' of 0 to 17' if name == 'action' else ''}")
        whole[name] = None if value is None else int(value)
    return GazeRow(
        int(cells[0].rpartition("_")[2]), whole["episode_id"], known.get("score"), known.get("duration(ms)"),
        known.get("unclipped_reward"), whole["action"], pairs[np.isfinite(pairs).all(1)],
    )  # fmt: skip


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
    """Trial number -> envpool's name of its game, of `meta_data.csv`; rows without a number or a game are left out.

    A trial of `<game>_highscore` is one of the game.
    """
    games = {}
    for row in _table(path):
        if row["TrialNumber"] and row["Game"]:
            words = re.sub("_highscore$", "", row["Game"].strip(), flags=re.IGNORECASE).split("_")
            name = "".join(word.capitalize() if word.isupper() else word[:1].upper() + word[1:] for word in words)
            games[int(float(row["TrialNumber"]))] = f"{'MsPacman' if name == 'Mspacman' else name}-v5"
    return games


def read_lengths(path: str | Path) -> dict[int, int]:
    """Trial number -> how many frames it has, of the column NumberOfFrames of `meta_data.csv`, as far as it is there."""
    rows = [(row["TrialNumber"], row.get("NumberOfFrames")) for row in _table(path)]
    return {int(float(number)): int(float(frames)) for number, frames in rows if number and frames}


#: name of a column in version 4 of the data -> its name in version 2
RENAMED = {"trial_id": "TrialNumber", "GameName": "Game", "total_frame": "NumberOfFrames"}


def _table(path: str | Path) -> list[dict[str, str]]:
    """The rows of `meta_data.csv`, their columns named as in version 2."""
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        rows = [{RENAMED.get(name, name): cell for name, cell in row.items()} for row in csv.DictReader(file)]
    if rows and not {"TrialNumber", "Game"} <= set(rows[0]):
        raise ValueError(f"{path} has the columns {list(rows[0])}, expected TrialNumber and Game, or trial_id and GameName")
    return rows


AGAIN = "download it again (zenodo.org/records/3451402)"


class Frames:
    """The pictures of a trial, [N 210 160 3] in the order of their numbers, kept as PNG: frames[i], frames[a:b] and
    frames[list] are decoded when they are asked for, to uint8; numpy takes all of them, 100 kB each.

    Raises ValueError for a picture that is damaged, or of another size; checksums are read at once.
    """

    def __init__(self, archive: Path, pngs: Sequence[bytes]):
        self.archive, self._pngs = archive, pngs
        for number, png in enumerate(pngs, 1):
            with self._opened(number, png) as image:
                width, height = image.size
                image.verify()
            if (height, width) != (HEIGHT, WIDTH):
                raise ValueError(f"{archive}: frame {number} is {height}x{width}, expected 210x160")

    def __len__(self) -> int:
        return len(self._pngs)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), HEIGHT, WIDTH, 3

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.uint8, copy=False)

    def __getitem__(self, which: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        rows = np.arange(len(self))[which]
        found = np.empty((rows.size, HEIGHT, WIDTH, 3), np.uint8)
        for at, row in enumerate(rows.flatten().tolist()):
            with self._opened(row + 1, self._pngs[row]) as image:
                found[at] = np.asarray(image.convert("RGB"))
        return found.reshape(*rows.shape, *found.shape[1:])

    @contextlib.contextmanager
    def _opened(self, number: int, png: bytes) -> "Iterator[Image]":
        from PIL import Image

        try:
            with Image.open(io.BytesIO(png)) as image:
                yield image
        except (OSError, SyntaxError) as error:
            raise ValueError(f"{self.archive}: frame {number} is no whole picture ({error}); {AGAIN}") from None


class Trial:
    """One trial: `frames`, `gaze`, and, for each step that an agent would take, what it sees and where people looked.

    The archive is read to its end at first use of `frames`, and kept as it is; only frames that are asked for are decoded.
    `forget` gives the memory back. Raises ValueError for an archive that is not named for a trial; where they are read
    FileNotFoundError for a missing file, ValueError for an archive that is damaged, and for frames of another size or with
    gaps.
    """

    def __init__(self, archive: str | Path):
        self.archive = Path(archive)
        stem = self.archive.name.removesuffix(".tar.bz2")
        if not (number := re.match(r"\d+", stem)):
            raise ValueError(f"{self.archive} is not named for a trial: expected <number>_<rest>.tar.bz2")
        self.number = int(number[0])
        self.gaze_path = self.archive.with_name(f"{stem}.txt")

    @cached_property
    def gaze(self) -> dict[int, GazeRow]:
        return read_gaze(self._found(self.gaze_path))

    def _found(self, path: Path) -> Path:
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: a trial is NAME.tar.bz2 and NAME.txt, side by side")
        return path

    @cached_property
    def frames(self) -> Frames:
        found = self._pictures()
        if missing := sorted(set(range(1, max(found, default=0) + 1)) - found.keys()):
            raise ValueError(
                f"{self.archive} holds {len(found)} frames, but none is number {_listed(missing)} ({len(missing)} in all): "
                f"is the file whole? {AGAIN}"
            )
        return Frames(self.archive, [found[number] for number in sorted(found)])

    def _pictures(self) -> dict[int, bytes]:
        """The PNGs by number, compressed as they are."""
        found, others = {}, []
        self._found(self.archive)
        try:
            with tarfile.open(self.archive, "r:bz2") as archive:
                for member in archive:
                    name = Path(member.name)
                    if name.name.startswith(".") or name.suffix != ".png":  # macOS puts ._NAME.png beside NAME.png
                        continue
                    if member.isfile() and (file := archive.extractfile(member)):
                        number = name.stem.rpartition("_")[2]
                        if number.isascii() and number.isdigit():
                            found[int(number)] = file.read()
                        else:
                            others.append(member.name)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ValueError(f"{self.archive} cannot be read to its end ({error}): {AGAIN}") from None
        if others:
            warnings.warn(f"{self.archive}: left out {_listed(others)}, which is no <name>_<number>.png", stacklevel=4)
        if not found:
            raise ValueError(f"{self.archive} holds no PNGs named <name>_<number>.png; {AGAIN}")
        return found

    def forget(self) -> None:
        """Gives the memory of `frames` back; they are read again when they are asked for."""
        self.__dict__.pop("frames", None)

    def gaps(self, frames: int | None = None) -> str | None:
        """In words where pictures, rows of gaze and the number of `frames` that a table knows differ; None if nowhere."""
        pictures, rows = len(self.frames), max(self.gaze, default=0)
        least, most = min(pictures, rows), max(pictures, rows, frames or 0)
        if least == most:
            return None
        known = "" if frames is None else f", {frames} by its table"
        lack = " and ".join(what for what, n in (("pictures", pictures), ("rows of gaze", rows)) if n < most)
        return (
            f"trial {self.number} has {pictures} pictures and rows of gaze up to frame {rows}{known}: "
            f"frames {least + 1} to {most} ({most - least}) lack {lack}"
        )

    @cached_property
    def steps(self) -> range:
        return steps_of(len(self.frames))

    def observations(self, steps: Iterable[int]) -> np.ndarray:
        """uint8 [n 84 84 4]: what an agent of Baselines sees at each of `steps`: the maximum of two frames, grey, 84x84 by
        area, four of them, the newest last, black before the game begins."""
        whens = [[step - SKIP * back for back in range(STACK - 1, -1, -1)] for step in steps]
        seen = {when: self._seen(when) for when in sorted({when for row in whens for when in row})}
        return np.stack([np.stack([seen[when] for when in row], axis=-1) for row in whens])

    def _seen(self, when: int) -> np.ndarray:
        if when < 0:
            return np.zeros((84, 84), np.uint8)
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

    def looks(self, steps: Iterable[int]) -> int:
        """How often anybody looks anywhere in these steps."""
        return sum(len(self._gaze_at(step)) for step in steps)

    def _gaze_at(self, step: int) -> np.ndarray:
        rows = [self.gaze[index + 1].gaze for index in frames_of_step(step) if index + 1 in self.gaze]
        return np.concatenate([np.zeros((0, 2)), *rows])


@jax.jit
def _small(colours: jax.Array) -> jax.Array:
    return jnp.rint(area_resize(jnp.rint(grey(colours)), (84, 84))).astype(jnp.uint8)


def _listed(some: Sequence[object]) -> str:
    """The first few of them."""
    return ", ".join(map(str, some[:5])) + (", ..." if len(some) > 5 else "")


def trials_in(folder: str | Path) -> list[Trial]:
    """Every trial in `folder`, by number; archives that are not named for one are left out, with a warning.

    Raises FileNotFoundError if there is none.
    """
    archives = sorted(path for path in Path(folder).rglob("*.tar.bz2") if not path.name.startswith("."))
    others = [path for path in archives if not re.match(r"\d+_", path.name)]
    if others:
        warnings.warn(f"left out {_listed(others)}: a trial is <number>_<rest>.tar.bz2", stacklevel=2)
    trials = [path for path in archives if path not in others]
    if not trials:
        fix = "unpack a game of Atari-HEAD there (zenodo.org/records/3451402)"
        if next(Path(folder).rglob("*.png"), None):
            fix = "its frames are unpacked; put the .tar.bz2 there as it was downloaded"
        raise FileNotFoundError(f"{folder} holds no <trial>_*.tar.bz2: {fix}")
    return sorted((Trial(path) for path in trials), key=lambda trial: trial.number)
