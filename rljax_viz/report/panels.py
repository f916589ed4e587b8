"""Labelled pictures on one sheet: what the gallery and the video have in common."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .overlay import NEGATIVE, POSITIVE, colours, overlay

PAGE, CARD, LINE, WELL = (16, 19, 24), (24, 28, 35), (42, 48, 58), (7, 9, 12)
TEXT, SOFT = (231, 234, 239), (152, 162, 177)
_GAP, _LABEL = 12, 26


@cache
def font(size: int) -> Any:
    return ImageFont.load_default(size)


class Sheet:
    """A page of cells in rows, with a head, and to the left a tall picture of the game where there is one.

    cell    the size of a cell's picture, (width, height); game the size of the tall picture or None; even in all
    """

    def __init__(self, labels: Sequence[str], cell: tuple[int, int], columns: int, game_aspect: float | None,
                 title: str, foot: str) -> None:
        self.cell, self.columns = cell, columns
        self.rows = -(-len(labels) // columns)
        height = self.rows * (_LABEL + cell[1]) + (self.rows - 1) * _GAP
        self.game = None if game_aspect is None else (round((height - _LABEL) * game_aspect), height - _LABEL)
        self.left = _GAP + (self.game[0] + _GAP if self.game else 0)
        self.top = 52 if title else _GAP
        width = self.left + columns * (cell[0] + _GAP)
        self.spare = self.rows * columns > len(labels)  # an empty cell takes the legend; otherwise it stands below
        below = self.top + height + (_GAP if self.spare or not foot else 44)
        self.size = (width + width % 2, below + below % 2)
        self.blank = Image.new("RGB", self.size, PAGE)
        self._letter(labels, title, foot)

    def place(self, i: int) -> tuple[int, int]:
        """The top left corner of the picture of cell i."""
        row, column = divmod(i, self.columns)
        return self.left + column * (self.cell[0] + _GAP), self.top + row * (self.cell[1] + _LABEL + _GAP) + _LABEL

    def draw(self, pictures: Sequence[np.ndarray], game: np.ndarray | None = None) -> Image.Image:
        """The sheet with one picture in each cell."""
        sheet = self.blank.copy()
        for i, picture in enumerate(pictures):
            sheet.paste(enlarge(picture, self.cell), self.place(i))
        if self.game and game is not None:
            sheet.paste(enlarge(game, self.game), (_GAP, self.top + _LABEL))
        return sheet

    def _letter(self, labels: Sequence[str], title: str, foot: str) -> None:
        pen = ImageDraw.Draw(self.blank)
        if title:
            pen.text((_GAP, 26), fitted(title, 22, self.size[0] - 2 * _GAP), TEXT, font(22), anchor="lm")
        if self.game:
            pen.text((_GAP, self.top + _LABEL / 2 - 2), "The game", SOFT, font(15), anchor="lm")
        for i, label in enumerate(labels):
            x, y = self.place(i)
            words = fitted(label, 15, self.cell[0])
            pen.text((x, y - _LABEL / 2 - 2), words, TEXT if i else SOFT, font(15), anchor="lm")
            pen.rectangle((x, y, x + self.cell[0] - 1, y + self.cell[1] - 1), fill=WELL)
        if foot and self.spare:
            self._legend(pen, *self.place(len(labels)), re.split(r"(?<=\.) ", foot))
        elif foot:
            self._legend(pen, _GAP, self.size[1] - 30, [])
            pen.text((_GAP + 132, self.size[1] - 24), fitted(foot, 14, self.size[0] - 160), SOFT, font(14), anchor="lm")

    def _legend(self, pen: ImageDraw.ImageDraw, x: int, y: int, sentences: Sequence[str]) -> None:
        width = self.cell[0] - 40 if sentences else 120
        values = np.linspace(-1, 1, width)[None, :, None]
        ramp = np.abs(values) * np.where(values > 0, POSITIVE, NEGATIVE) + (1 - np.abs(values)) * np.array(WELL)
        if sentences:
            pen.rounded_rectangle((x, y, x + self.cell[0] - 1, y + self.cell[1] - 1), 8, fill=CARD, outline=LINE)
            x, y = x + 20, y + 24
        self.blank.paste(Image.fromarray(np.repeat(ramp.round().astype(np.uint8), 12, 0)), (x, y))
        for line in (line for sentence in sentences for line in [*wrapped(sentence, 15, width), ""]):
            y += 20 if line else 8
            pen.text((x, y + 18), line, SOFT, font(15), anchor="lm")


def wrapped(text: str, size: int, width: float) -> list[str]:
    """The text in lines of at most `width` pixels, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font(size).getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def enlarge(picture: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """To the nearest pixel by a whole number, the rest smoothly: pixels stay sharp and equal."""
    height, width = picture.shape[:2]
    times = max(1, -(-size[0] // width), -(-size[1] // height))
    return Image.fromarray(picture).resize((width * times, height * times), Image.Resampling.NEAREST).resize(
        size, Image.Resampling.BOX)


def fitted(text: str, size: int, width: float) -> str:
    """The text, cut with dots if it is wider than `width` pixels."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


def map_over(frame: np.ndarray, values: np.ndarray, opacity: float, scale: float | None) -> np.ndarray:
    """As `overlay`, on a frame dimmed as in the explorer, and enlarged first if the map has its own resolution."""
    dimmed = np.round(colours(frame).astype(np.float32) * (1 - 0.8 * opacity)).astype(np.uint8)
    if values.shape != frame.shape[:2]:
        dimmed = dimmed.repeat(4, 0).repeat(4, 1)
    return overlay(dimmed, values, opacity, scale)


def columns_for(cells: int) -> int:
    """As many columns as make a sheet about twice as wide as it is high."""
    return cells if cells <= 4 else -(-cells // 2) if cells <= 10 else -(-cells // 3)


def cell_size(frame: np.ndarray, side: int) -> tuple[int, int]:
    """(width, height) of a cell of about `side` pixels with the shape of the frame; even."""
    height, width = frame.shape[:2]
    ratio = side / max(height, width)
    return max(2, 2 * round(width * ratio / 2)), max(2, 2 * round(height * ratio / 2))


def stacked(maps: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The maps as [h w] float arrays. Raises ValueError if one is not."""
    arrays = {label: np.asarray(values, np.float32) for label, values in maps.items()}
    for label, values in arrays.items():
        if values.ndim != 2 or not np.isfinite(values).all():
            raise ValueError(f"The map {label!r} has shape {values.shape}, finite: {bool(np.isfinite(values).all())}; "
                             "expected one finite map [h w]. Of a map with channels take the newest frame: "
                             "`map[..., -1]`.")
    return arrays
