"""What the pictures are made of: one `Recording` of steps and any number of `MapSeries` that belong to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """T steps of play, of one or several episodes; they need not follow one another without gaps.

    At row t the agent saw `obs[t]`, its heads said `value[t]` and `logits[t]`, it took `action[t]` and got `reward[t]`.

    obs          [T H W C] uint8: what the agent was given. C holds `stack` frames, oldest first and newest last, each
                 of C / stack channels: 1 is grey, 3 is colour, any other number are planes of objects (MinAtar),
                 which are drawn in one colour each.
    action       [T] int; reward [T] float, as the game gives it
    terminated, truncated  [T] bool: the step ended the episode (Gymnasium's meaning)
    episode      [T] int: the rows of an episode stand together
    stack        how many frames `obs` holds
    rgb          [T h w 3] uint8: the game as a person sees it, or None
    value        [T] float, or None
    logits       [T A] float, shown as probabilities; or q [T A] float, shown as they are; or neither
    step         [T] int: the number of the step in its episode; None counts from 0. Where it jumps is a gap.
    life_lost    [T] bool, or None

    Raises ValueError where a shape or a type does not fit, and says which.
    """

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    episode: np.ndarray
    stack: int = 1
    rgb: np.ndarray | None = None
    value: np.ndarray | None = None
    logits: np.ndarray | None = None
    q: np.ndarray | None = None
    step: np.ndarray | None = None
    life_lost: np.ndarray | None = None

    def __post_init__(self) -> None:
        obs = _frames("obs", self.obs, None)
        steps = len(obs)
        if steps == 0:
            raise ValueError("The recording holds no step: obs has shape "
                             f"{obs.shape}. Record an episode first, or choose at least one step.")
        if not 1 <= self.stack <= obs.shape[-1] or obs.shape[-1] % self.stack:
            raise ValueError(f"stack={self.stack} does not divide the {obs.shape[-1]} channels of obs {obs.shape}. "
                             "Four stacked grey frames are stack=4; a single frame of many channels is stack=1.")
        _put(self, "obs", obs)
        for name in ("action", "reward", "terminated", "truncated", "episode", "value", "step", "life_lost"):
            _put(self, name, _column(name, getattr(self, name), steps))
        if self.rgb is not None:
            _put(self, "rgb", _frames("rgb", self.rgb, steps))
        if self.logits is not None and self.q is not None:
            raise ValueError("logits and q were both given; the page shows one of them: leave the other at None.")
        for name in ("logits", "q"):
            _put(self, name, _table(name, getattr(self, name), steps))
        _check_episodes(self.episode)

    def __repr__(self) -> str:
        return f"Recording({len(self)} steps, {len(np.unique(self.episode))} episodes, obs {self.obs.shape[1:]})"

    def __len__(self) -> int:
        return len(self.obs)

    @property
    def newest(self) -> np.ndarray:
        """The newest frame of every stack."""
        return self.obs[..., -(self.obs.shape[-1] // self.stack):]

    @property
    def num_actions(self) -> int:
        """How many actions the heads know; without heads, as many as were taken."""
        heads = self.logits if self.logits is not None else self.q
        return int(heads.shape[1]) if heads is not None else int(self.action.max()) + 1


@dataclass(frozen=True, eq=False, repr=False)
class MapSeries:
    """The maps of one method for one score, one for every row of a `Recording`.

    values  [T h w] float, raw and not normalised, at their own resolution: [h w] covers the whole frame. Any array that
            can be sliced (numpy, jax, zarr, tensorstore): it is read a slice at a time.
    score   as on the command line: "value", "logit:chosen", "difference:2,3"
    layer   the layer that is explained, for methods that have one
    units   of the values, as the store says: "value per unit of obs"
    about   one sentence for the reader; None takes the one that is known for the method

    Raises ValueError if `values` is not [T h w].
    """

    method: str
    score: str
    values: Any
    layer: str | None = None
    units: str = ""
    about: str | None = None

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in np.shape(self.values))
        if len(shape) != 3 or 0 in shape:
            hint = ("A map with channels is summed up first: `values[..., -1]` is the newest frame of the stack."
                    if len(shape) == 4 else "One map is `values[None]`.")
            raise ValueError(f"The maps of {self.label} have shape {shape}; expected [T h w], one map a step. {hint}")

    def __repr__(self) -> str:
        return f"MapSeries({self.label}, {tuple(np.shape(self.values))})"

    @property
    def label(self) -> str:
        return f"{self.method}-{self.score}" + (f"-{self.layer}" if self.layer else "")


def check_maps(recording: Recording, maps: Sequence[MapSeries]) -> None:
    """Every series belongs to the recording, and none comes twice. Raises ValueError otherwise."""
    seen = set()
    for series in maps:
        count = np.shape(series.values)[0]
        if count != len(recording):
            raise ValueError(f"The maps of {series.label} are {count}, the recording has {len(recording)} steps. If "
                             "the recording is a choice of steps, choose the maps alike: `values[chosen]`.")
        if series.label in seen:
            raise ValueError(f"The maps of {series.label} came twice. Drop one, or tell them apart by `layer`.")
        seen.add(series.label)


def _put(record: Recording, name: str, value: Any) -> None:
    object.__setattr__(record, name, value)


def _frames(name: str, value: Any, steps: int | None) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype != np.uint8:
        raise ValueError(f"{name} is {value.dtype}; expected uint8 frames, 0 to 255. For floats in 0..1: "
                         f"`np.round(255 * {name}).astype(np.uint8)`.")
    if value.ndim != 4:
        raise ValueError(f"{name} has shape {value.shape}; expected [T H W C]. For one step: `{name}[None]`; for grey "
                         f"frames without a channel axis: `{name}[..., None]`.")
    if name == "rgb" and (value.shape[-1] != 3 or len(value) != steps):
        raise ValueError(f"rgb has shape {value.shape}; expected [{steps} h w 3], one colour frame a step.")
    return value


_KINDS = {"action": "iu", "episode": "iu", "step": "iu", "terminated": "b", "truncated": "b", "life_lost": "b"}


def _column(name: str, value: Any, steps: int) -> np.ndarray | None:
    if value is None:
        if name in ("value", "step", "life_lost"):
            return None
        raise ValueError(f"{name} is None; expected an array of {steps}, one a step.")
    value = np.asarray(value)
    if value.shape != (steps,):
        raise ValueError(f"{name} has shape {value.shape}; expected ({steps},), one a step, as obs has {steps}.")
    if value.dtype.kind not in _KINDS.get(name, "fiub"):
        wanted = "bool" if _KINDS[name] == "b" else "int"
        raise ValueError(f"{name} is {value.dtype}; expected {wanted}: `{name}.astype({wanted})`.")
    if name == "action" and value.min() < 0:
        raise ValueError(f"action holds {value.min()}; actions count from 0.")
    return _finite(name, value)


def _table(name: str, value: Any, steps: int) -> np.ndarray | None:
    if value is None:
        return None
    value = np.asarray(value)
    if value.ndim != 2 or len(value) != steps:
        raise ValueError(f"{name} has shape {value.shape}; expected [{steps} A], one row a step.")
    return _finite(name, value)


def _finite(name: str, value: np.ndarray) -> np.ndarray:
    bad = ~np.isfinite(value.astype(np.float64)).reshape(len(value), -1).all(1)
    if bad.any():
        raise ValueError(f"{name} is not finite at row {int(bad.argmax())} ({int(bad.sum())} rows in all).")
    return value


def _check_episodes(episode: np.ndarray) -> None:
    starts = np.flatnonzero(np.diff(episode)) + 1
    order = episode[np.concatenate([[0], starts])]
    if len(np.unique(order)) != len(order):
        raise ValueError(f"The episodes come in the order {order.tolist()}: one is torn apart. The rows of an episode "
                         "stand together: `order = np.argsort(episode, kind='stable')`, then every array `[order]`.")
