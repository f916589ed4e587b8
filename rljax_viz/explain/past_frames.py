"""What an agent that remembers owes to the frames that it saw before: maps of a window of past frames."""

from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Method, Network, as_float
from rljax_viz.explain.record import record
from rljax_viz.explain.unroll import unroll
from rljax_viz.transforms import Rule, rewrite


def past_frames(method: Method, cell: Network, score: Any, **static: Any) -> Explain:
    """The map of every frame of a window: what the score at its last frame owes to each of them.

    cell(params, obs, memory) -> Output whose `carry` is the memory after this frame;
    explain(params, window[T H W C], action, memory, missing) -> float32 [T *map], oldest first, the newest LAST, units of the
    method; explain(key, ...) if it is random. `method` is a row of METHODS. `memory` is what was remembered before the first
    frame that is there; `missing`, an int, says how many at the front are not there, because the episode begins after
    them: the cell does not see those, and their maps are zero. `action` is that of the last frame.

    Methods whose map has the pixels of the observation take the window for one observation, run through by `unroll`
    (backpropagation through time; paths, baselines and noise are of the whole window). Those of a layer or of hidden
    pixels (Grad-CAM, occlusion, perturbation, RISE, ...) explain each frame for itself: it alone is changed, or its layer
    looked at, and the agent goes on from there over the frames that followed.
    Rosynski et al. 2020, table 3, arXiv:2012.01281, shows guided backpropagation so. Differs: every method.
    Raises what the method raises.
    """
    if method.resolution == "obs" and method.stacked and not method.needs_layer:
        unrolled = unroll(_waiting(cell))

        def windowed(params: Any, window: jax.Array, memory: Any, missing: jax.Array) -> Any:
            return unrolled(params, window, (memory, missing))

        return method.factory(record(windowed), score, **static)
    return _frame_by_frame(method.factory(record(_from_one_frame(cell)), score, **static), cell)


def _waiting(cell: Network) -> Network:
    """`cell` whose carry is (memory, missing): as long as frames are missing, the memory stays what it is."""

    def waiting(params: Any, obs: jax.Array, carry: Any) -> Any:
        memory, missing = carry
        out = cell(params, obs, memory)
        kept = jax.tree.map(lambda new, old: jnp.where(missing > 0, old.astype(new.dtype), new), out.carry, memory)
        return out._replace(carry=(kept, missing - 1))

    return waiting


def _frame_by_frame(explain: Explain, cell: Network) -> Explain:
    """`explain` of `_from_one_frame(cell)` for every frame of a window in turn."""

    def every(params: Any, window: jax.Array, action: Any, memory: Any, missing: Any) -> jax.Array:
        window, missing = as_float(window), jnp.asarray(missing)

        def go_on(carry: Any, obs: jax.Array) -> tuple[Any, Any]:
            return _waiting(cell)(params, obs, carry).carry, carry[0]

        _, memories = jax.lax.scan(go_on, (memory, missing), window)

        def one(at: tuple) -> jax.Array:
            number, obs, before = at
            map = explain(params, obs, action, before, window, number)
            return jnp.where(number >= missing, map, jnp.zeros_like(map))

        return jax.lax.map(one, (jnp.arange(len(window)), window, memories))

    return every


def _from_one_frame(cell: Network) -> Network:
    """The last output as a function of ONE frame of the window: f(params, obs, memory, window, number).

    `obs` is seen in place of window[number], `memory` is what was remembered before; then come the frames behind it. Tags are
    those of this one frame.
    """
    nameless = rewrite(cell, Rule(lambda eqn: eqn.primitive.name == "tag", lambda eqn, inputs: inputs))

    def f(params: Any, obs: jax.Array, memory: Any, window: jax.Array, number: jax.Array) -> Any:
        def go_on(out: Any, at: tuple) -> tuple[Any, None]:
            k, frame = at
            then = nameless(params, frame, out.carry)
            return jax.tree.map(lambda new, old: jnp.where(k > number, new, old), then, out), None

        return jax.lax.scan(go_on, cell(params, obs, memory), (jnp.arange(len(window)), window))[0]

    return f
