"""Networks by name: to add one, copy nature.py and add a line here."""

import dataclasses
import difflib
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from rljax_viz.networks.coinrun import CoinRun
from rljax_viz.networks.minatar import MinAtar
from rljax_viz.networks.nature import Nature
from rljax_viz.networks.nature_dueling import NatureDueling
from rljax_viz.networks.nature_q import NatureQ

_NETWORKS: dict[str, type[nn.Module]] = {
    "nature": Nature,
    "nature-q": NatureQ,
    "nature-dueling": NatureDueling,
    "minatar": MinAtar,
    "coinrun": CoinRun,
}
NAMES = tuple(_NETWORKS)
_DTYPES = ("float32", "bfloat16")


def make(name: str, num_actions: int, **options: Any) -> nn.Module:
    """The network `name` for `num_actions` actions; the names are in NAMES.

    `net.init(key, obs)` gives params, `net.apply(params, obs[H W C])` an Output in float32. Options of every network:
    `dtype`, what the hidden layers compute in, "float32" (default) or "bfloat16"; parameters stay float32.
    Raises ValueError for an unknown name, a bad `num_actions` or dtype; TypeError for an unknown option.
    """
    if name not in _NETWORKS:
        near = difflib.get_close_matches(str(name), NAMES, n=1, cutoff=0.3)
        hint = f" Did you mean networks.make({near[0]!r}, {num_actions!r})?" if near else ""
        raise ValueError(f"no network is called {name!r}; there are {', '.join(NAMES)}.{hint}")
    if isinstance(num_actions, bool) or not isinstance(num_actions, (int, np.integer)) or num_actions < 1:
        raise ValueError(f"num_actions is a positive int, got {num_actions!r}; the environment has env.num_actions.")
    known = _options(_NETWORKS[name])
    unknown = sorted(options.keys() - known)
    if unknown:
        raise TypeError(f"{name} has no option {', '.join(map(repr, unknown))}; its options are {', '.join(known)}.")
    if "dtype" in options:
        options["dtype"] = _dtype(options["dtype"])
    return _NETWORKS[name](num_actions=int(num_actions), **options)


def _options(network: type[nn.Module]) -> tuple[str, ...]:
    """Its dataclass fields, without those that every linen module has."""
    return tuple(f.name for f in dataclasses.fields(network) if f.name not in ("num_actions", "parent", "name"))


def _dtype(dtype: Any) -> jnp.dtype:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.name not in _DTYPES:
        raise ValueError(f"networks compute in {' or '.join(_DTYPES)}, got dtype={dtype!r}; write dtype='bfloat16'.")
    return found
