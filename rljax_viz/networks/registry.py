"""Networks by name: to add one, copy nature.py and add a line here."""

import dataclasses
import difflib
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from rljax_viz.networks.a3c import A3C
from rljax_viz.networks.coinrun import CoinRun
from rljax_viz.networks.daqn import DAQN
from rljax_viz.networks.drqn import DRQN, SplitAttention
from rljax_viz.networks.fls import TWINS, VARIANTS, FreeLunch
from rljax_viz.networks.idqn import IDQN
from rljax_viz.networks.minatar import MinAtar
from rljax_viz.networks.minatar_q import MinAtarQ
from rljax_viz.networks.nature import Nature
from rljax_viz.networks.nature_dueling import NatureDueling
from rljax_viz.networks.nature_q import NatureQ
from rljax_viz.networks.rs import RegionSensitive

_OPEN = ("num_actions", "dtype", "parent", "name")  # what a variant does not settle
_PLAIN = {field.name: field.default for field in dataclasses.fields(FreeLunch) if field.name not in _OPEN}
_DENSE_MAP = {"layer": "attention", "receptive_field": 13, "stride": 1, "padding": 6}
_SPARSE_MAP = {"layer": "attention", "receptive_field": 36, "stride": 8, "padding": 0}
_FIRST_MAP = {"layer": "attention", "receptive_field": 8, "stride": 4, "padding": 0}
_EACH_MAP = {
    "layer": ("attention1", "attention2", "attention3"),
    "receptive_field": (8, 4, 8), "stride": (4, 2, 2), "padding": (0, 0, 0),
}  # fmt: skip
_TWIN_MAP = {"layer": "attention", "receptive_field": 4, "stride": 2, "padding": 0}
_DENSE_TWIN_MAP = {"layer": "attention", "receptive_field": 5, "stride": 1, "padding": 2}

_FIRST_TWIN_MAP = {"layer": "attention", "receptive_field": 3, "stride": 1, "padding": 0}

#: name -> (network, the options that make it this one)
_NETWORKS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "nature": (Nature, {}),
    "nature-q": (NatureQ, {}),
    "nature-dueling": (NatureDueling, {}),
    "minatar": (MinAtar, {}),
    "minatar-q": (MinAtarQ, {"dueling": False}),
    "minatar-dueling": (MinAtarQ, {"dueling": True}),
    "a3c": (A3C, {"memory": False, "small": False}),
    "a3c-lstm": (A3C, {"memory": True, "small": False}),
    "minatar-lstm": (A3C, {"memory": True, "small": True}),
    "drqn": (DRQN, {"attends": False, "small": False}),
    "darqn": (DRQN, {"attends": True, "small": False}),
    "minatar-drqn": (DRQN, {"attends": False, "small": True}),
    "minatar-darqn": (DRQN, {"attends": True, "small": True}),
    "split-attention": (SplitAttention, {"small": False, "window": 0}),
    "minatar-split-attention": (SplitAttention, {"small": True, "window": 10}),
    "idqn": (IDQN, {"small": False}),
    "minatar-idqn": (IDQN, {"small": True}),
    "coinrun": (CoinRun, {}),
    "daqn": (DAQN, {"small": False}),
    "rs": (RegionSensitive, {"padding": 1, "small": False}),
    "rs-no-padding": (RegionSensitive, {"padding": 0, "small": False}),
    **{name: (FreeLunch, {**_PLAIN, **options}) for name, options in VARIANTS.items()},
    "minatar-daqn": (DAQN, {"small": True}),
    "minatar-rs": (RegionSensitive, {"padding": 0, "small": True}),
    **{name: (FreeLunch, {**_PLAIN, **options}) for name, options in TWINS.items()},
}

#: name of a network that attends -> the options of `explain.attention_map` that draw its map: where each of its pixels
#: looks in an 84x84 frame (MinAtar's twins: 10x10). RS's one pixel of padding is left out, as in the paper (FACTS, seed 004).
ATTENTION: dict[str, dict[str, Any]] = {
    **{name: _SPARSE_MAP for name in ("daqn", "rs", "rs-no-padding", *VARIANTS)},
    **{name: _DENSE_MAP for name, options in VARIANTS.items() if options.get("block") == "dense"},
    "darqn": _SPARSE_MAP,
    "sparse-fls-conv1": _FIRST_MAP,
    "sparse-fls-each-conv": _EACH_MAP,
    **{name: _TWIN_MAP for name in ("minatar-daqn", "minatar-rs", *TWINS) if name != "minatar-sparse"},
    **{name: _DENSE_TWIN_MAP for name, options in TWINS.items() if options["block"] == "minatar-dense"},
    "minatar-fls-conv1": _FIRST_TWIN_MAP,
    "minatar-darqn": _FIRST_TWIN_MAP,
    "minatar-fls-each-conv": {
        "layer": ("attention1", "attention2"), "receptive_field": (3, 2), "stride": (1, 2), "padding": (0, 0),
    },
}
NAMES = tuple(_NETWORKS)

#: networks that remember: `apply(params, obs, carry=None)`, the next carry is in `Output.carry`
RECURRENT = ("a3c-lstm", "minatar-lstm", "drqn", "darqn", "minatar-drqn", "minatar-darqn")
#: networks with a layer between their two streams and q, which is then not their sum
MIXED = ("split-attention", "minatar-split-attention")
_DTYPES = ("float32", "bfloat16")


def make(name: str, num_actions: int, **options: Any) -> nn.Module:
    """The network `name` for `num_actions` actions; the names are in NAMES.

    `net.init(key, obs)` gives params, `net.apply(params, obs[H W C])` an Output in float32. Options of every network:
    `dtype`, what the hidden layers compute in, "float32" (default) or "bfloat16"; parameters stay float32.
    Raises ValueError for an unknown name, a bad `num_actions` or dtype; TypeError for an unknown option.
    """
    known = options_of(name)
    if isinstance(num_actions, bool) or not isinstance(num_actions, (int, np.integer)) or num_actions < 1:
        raise ValueError(f"num_actions is a positive int, got {num_actions!r}; the environment has env.num_actions.")
    network, fixed = _NETWORKS[name]
    unknown = sorted(options.keys() - known)
    if unknown:
        raise TypeError(f"{name} has no option {', '.join(map(repr, unknown))}; its options are {', '.join(known)}.")
    if "dtype" in options:
        options["dtype"] = _dtype(options["dtype"])
    return network(num_actions=int(num_actions), **fixed, **options)


def options_of(name: str) -> tuple[str, ...]:
    """What `make(name, num_actions, **options)` takes as options. Raises ValueError for an unknown name."""
    if name not in _NETWORKS:
        near = difflib.get_close_matches(str(name), NAMES, n=1, cutoff=0.3)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no network is called {name!r}; there are {', '.join(NAMES)}.{hint}")
    network, fixed = _NETWORKS[name]
    settled = {"num_actions", "parent", "name", *fixed}
    return tuple(f.name for f in dataclasses.fields(network) if f.name not in settled)


def _dtype(dtype: Any) -> jnp.dtype:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.name not in _DTYPES:
        raise ValueError(f"networks compute in {' or '.join(_DTYPES)}, got dtype={dtype!r}; write dtype='bfloat16'.")
    return found
