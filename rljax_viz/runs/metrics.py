"""One line of JSON an update, in `metrics.jsonl`; TensorBoard beside it on request."""

import json
from pathlib import Path
from typing import Any

import numpy as np


def as_row(update: int, steps: int, metrics: Any) -> dict[str, Any]:
    """`metrics` of one update as plain numbers; with several seeds each is a list, one entry a seed.

    `return` and `length` are means over the games that ended in this update, null where none did.
    """
    named = {name: value for name, value in metrics._asdict().items() if name not in ("episodes", "parts")}
    values = {name: np.asarray(value) for name, value in {**named, **getattr(metrics, "parts", {})}.items()}
    count, returns, lengths = (np.asarray(x, np.float64) for x in metrics.episodes)
    mean = lambda total: np.where(count > 0, total / np.maximum(count, 1), np.nan)  # noqa: E731
    row = {"episodes": count, "return": mean(returns), "length": mean(lengths), **values}
    return {"update": update, "steps": steps} | {name: _plain(value) for name, value in row.items()}


def _plain(value: np.ndarray) -> Any:
    return [_plain(v) for v in value] if value.ndim else (float(value) if np.isfinite(value) else None)


class MetricsLog:
    """Appends rows; on resume forgets those after `since`, which the resumed run writes again."""

    def __init__(self, run: Path, since: int, tensorboard: bool = False):
        path = run / "metrics.jsonl"
        rows = path.read_text().splitlines() if path.exists() else []
        kept = [row for row in rows if row.endswith("}") and json.loads(row)["update"] <= since]
        path.write_text("".join(row + "\n" for row in kept))
        self._file = path.open("a", buffering=1)
        self._board = need_tensorboard()(str(run / "tensorboard")) if tensorboard else None

    def write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row) + "\n")
        if self._board is not None:
            for name, value in row.items():
                for seed, v in enumerate(value if isinstance(value, list) else [value]):
                    if v is not None:
                        self._board.add_scalar(f"{name}/{seed}" if isinstance(value, list) else name, v, row["steps"])

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def need_tensorboard() -> Any:
    """The writer of TensorBoard's logs. Raises ImportError with the fix where it is absent."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError("TensorBoard logs need tensorboardX: pip install 'rljax-viz[log]'") from error
    return SummaryWriter


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl`; a line cut off by a kill is left out."""
    path = run / "metrics.jsonl"
    rows = path.read_text().splitlines() if path.exists() else []
    return [json.loads(row) for row in rows if row.endswith("}")]
