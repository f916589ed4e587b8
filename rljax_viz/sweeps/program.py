"""The compiled program of one tile: `explain` under vmap, split over devices, with the key of each frame."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from rljax_viz.store import encode
from rljax_viz.transforms import fuse

ONE = ""  # the name of the map of an explain that returns one array


def program_on(
    explain: Callable, random: bool, devices: tuple, stored: tuple[tuple[str, str], ...]
) -> tuple[Callable, NamedSharding, NamedSharding]:
    """(program, how a tile is split, how params are copied) over `devices`.

    program(numbers[T], obs[T ...], rest[T ...], params, key) -> ({name: {part: [T ...]}}, {name: finite[T]}): the parts of
    the maps as they are stored (`store.codes`); `stored` says for each name as what.
    """
    mesh = jax.sharding.Mesh(np.array(devices), ("frame",))
    try:
        program = _compiled(explain, random, mesh, stored)
    except TypeError:  # an explain that cannot be hashed is compiled at every call
        program = _compiled.__wrapped__(explain, random, mesh, stored)
    return program, NamedSharding(mesh, PartitionSpec("frame")), NamedSharding(mesh, PartitionSpec())


@functools.lru_cache(maxsize=16)
def _compiled(explain: Callable, random: bool, mesh: jax.sharding.Mesh, stored: tuple[tuple[str, str], ...]) -> Callable:
    def one(number, obs, rest, params, key):
        return _named(_call(explain, params, obs, rest, jax.random.fold_in(key, number) if random else None))

    def tiled(*args):
        maps = fuse(jax.vmap(one, in_axes=(0, 0, 0, None, None)))(*args)
        # each map is finished before it is looked at twice: XLA would rather compute parts of it again
        coded = {name: encode(jax.lax.optimization_barrier(maps[name]), dtype, jnp) for name, dtype in stored}
        return {name: parts for name, (parts, _) in coded.items()}, {name: finite for name, (_, finite) in coded.items()}

    if mesh.size > 1:  # each device runs the whole explain on its part: nothing for the partitioner to guess
        part, copy = PartitionSpec("frame"), PartitionSpec()
        in_specs = (part, part, part, copy, copy)
        tiled = jax.shard_map(tiled, mesh=mesh, in_specs=in_specs, out_specs=part, check_vma=False)
    return jax.jit(tiled)


def _call(explain: Callable, params: Any, obs: Any, rest: tuple, key: Any) -> Any:
    return explain(params, obs, *rest) if key is None else explain(key, params, obs, *rest)


def _named(maps: Any) -> dict[str, jax.Array]:
    """One map or a dict of maps as a dict; half precision as float32, which numpy and the stores know."""
    maps = maps if isinstance(maps, dict) else {ONE: maps}
    if not all(hasattr(values, "dtype") and hasattr(values, "shape") for values in maps.values()):
        raise TypeError(f"explain must return one array or a dict of arrays, got {jax.tree.structure(maps)}")
    half = (jnp.bfloat16, jnp.float16)
    return {name: values.astype(jnp.float32) if values.dtype in half else values for name, values in maps.items()}


def _traced(explain: Callable) -> Any:
    """A jit of one map, which remembers what it traced."""
    try:
        return _kept_trace(explain)
    except TypeError:  # an explain that cannot be hashed
        return _kept_trace.__wrapped__(explain)


@functools.lru_cache(maxsize=16)
def _kept_trace(explain: Callable) -> Any:
    return jax.jit(lambda *args: _named(_call(explain, *args)))


def map_shapes(explain: Callable, params: Any, frames: Any, rest: tuple, key: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """{name: shape and dtype of the map of one frame}, found without running anything.

    Raises ValueError if `key` is given to a deterministic explain or is missing for a random one, TypeError if it is
    no typed key.
    """
    if key is not None and not (
        hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()
    ):
        raise TypeError(f"key must be one typed key, jax.random.key(seed), got {key!r}")

    def row(array: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(array.shape[1:], jax.dtypes.canonicalize_dtype(array.dtype))

    def trace(key: Any) -> dict[str, jax.ShapeDtypeStruct]:
        return _traced(explain).eval_shape(params, row(frames), jax.tree.map(row, rest), key)

    try:
        return trace(key)
    except Exception as error:
        try:
            trace(jax.random.key(0) if key is None else None)
        except Exception:  # it fails either way: the fault is not the key's
            raise error from None
        if key is None:
            fix = "this explain is random, explain(key, params, obs, *rest): pass key=jax.random.key(seed)"
        else:
            fix = "this explain is deterministic, explain(params, obs, *rest): leave key out"
        raise ValueError(fix) from error
