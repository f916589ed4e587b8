"""Many small pictures in few big ones: frames and maps as lossless webp atlases, 8 bits and a float32 scale per map."""

import base64
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS = 8
TILES = 64
_PIXELS = 4_000_000  # of one atlas: a browser decodes it in some tens of milliseconds


def quantise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed maps as bytes around 128, and each map's largest magnitude.

    (values[N h w]) -> (uint8 [N h w], float32 scale[N]); value = (byte - 128) / 127 * scale, at most scale / 254 off.
    The scale is each map's own, so that scaling by episode or by everything loses nothing.
    Raises ValueError if a value is not finite.
    """
    values = np.asarray(values, np.float32)
    scale = np.abs(values).max((1, 2), initial=0.0)
    if not np.isfinite(scale).all():
        raise ValueError(f"Map {int((~np.isfinite(scale)).argmax())} holds NaN or infinity; a map of a score that is "
                         "undefined there cannot be drawn: leave the step out, or mend the method.")
    safe = np.where(scale > 0, scale, 1.0)[:, None, None]
    # Divided first: 127 / scale would overflow for maps near the smallest float.
    return np.round(values / safe * 127 + 128).astype(np.uint8), scale


def dequantise(data: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The inverse of `quantise`, to half a level."""
    return (np.asarray(data, np.float32) - 128) / 127 * np.asarray(scale, np.float32)[:, None, None]


def tiles_per_atlas(height: int, width: int) -> int:
    return int(np.clip(_PIXELS // (height * width), 1, TILES))


def pack(tiles: np.ndarray) -> np.ndarray:
    """N pictures on one sheet, `COLUMNS` a row, row by row from the top left."""
    count, height, width, *channels = tiles.shape
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    padded = np.zeros((rows * columns, height, width, *channels), np.uint8)
    padded[:count] = tiles
    grid = padded.reshape(rows, columns, height, width, *channels)
    return np.swapaxes(grid, 1, 2).reshape(rows * height, columns * width, *channels)


def unpack(sheet: np.ndarray, count: int, height: int, width: int) -> np.ndarray:
    """The inverse of `pack`."""
    rows, columns = sheet.shape[0] // height, sheet.shape[1] // width
    grid = sheet.reshape(rows, height, columns, width, *sheet.shape[2:])
    return np.swapaxes(grid, 1, 2).reshape(rows * columns, height, width, *sheet.shape[2:])[:count]


def encode(sheet: np.ndarray, *, lossy: bool = False) -> bytes:
    """One sheet [H W] or [H W 3] as webp: lossless, or with `lossy` at quality 80 if that is smaller."""
    from PIL import Image

    image = Image.fromarray(sheet)
    noisy = sheet.ndim == 2  # maps: more effort buys 3 % and costs twice the time
    best = _webp(image, lossless=True, quality=50 if noisy else 80, method=2 if noisy else 4)
    if lossy:
        best = min(best, _webp(image, quality=80, method=4), key=len)
    return best


def decode(data: bytes) -> np.ndarray:
    """A sheet as a browser sees it, in colour."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def atlases(
    read: Callable[[int, int], np.ndarray], count: int, per_atlas: int, *, lossy: bool = False
) -> Iterator[str]:
    """base64 webp of every `per_atlas` tiles; `read(start, stop)` gives the tiles, called in order, a few at a time."""
    starts = range(0, count, per_atlas)
    with ThreadPoolExecutor(2) as pool:  # the encoder lets go of the interpreter
        waiting: list[Any] = []
        for start in starts:
            sheet = pack(read(start, min(start + per_atlas, count)))
            waiting.append(pool.submit(encode, sheet, lossy=lossy))
            if len(waiting) > 3:
                yield _text(waiting.pop(0).result())
        while waiting:
            yield _text(waiting.pop(0).result())


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _webp(image: "Image", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()
