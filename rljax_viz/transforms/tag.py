"""Names for hidden activations: give one with `tag`, list, read and edit them from outside.

out, hidden = activations(f, ["conv2"])(params, obs)       # read
out = intervene(f, {"conv2": lambda h: 0 * h})(params, obs)  # edit
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.transforms._interpret import Eqn, Jaxpr, Rule, bind, bodies, run, stage, tag_p, twice_message


def tag(x: jax.Array, name: str) -> jax.Array:
    """Identity that names an activation: `h = tag(nn.relu(h), "conv1")`. Use the result: the name lies on it.

    x[...] -> x[...]; it vanishes in the compiled program. An inner vmap puts its axis in front of the tagged array.
    Raises TypeError if `x` is no array or `name` no string.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"tag(x, name) needs a name that is a non-empty string, got {name!r}; e.g. tag(h, 'conv1')")
    if len(jax.tree.leaves(x)) != 1 or jax.tree.structure(x) != jax.tree.structure(0):
        raise TypeError(f"tag names one array, got {type(x).__name__}; tag its parts, e.g. tag(x['a'], '{name}/a')")
    return tag_p.bind(jnp.asarray(x), name=name)


def is_tag(eqn: Eqn, names: Iterable[str] | None = None) -> bool:
    return eqn.primitive is tag_p and (names is None or eqn.params["name"] in names)


def sites(jaxpr: Jaxpr, lead: tuple[int, ...] = ()) -> dict[str, list[jax.ShapeDtypeStruct]]:
    """Where each name stands, in the shapes in which it is read (stacked by scan); branches of a cond are one place."""
    out: dict[str, list[jax.ShapeDtypeStruct]] = {}
    for eqn in jaxpr.eqns:
        if is_tag(eqn):
            aval = eqn.outvars[0].aval
            out.setdefault(eqn.params["name"], []).append(jax.ShapeDtypeStruct(lead + aval.shape, aval.dtype))
        inner = (*lead, eqn.params["length"]) if eqn.primitive.name == "scan" else lead
        parts = [sites(body, inner) for body in bodies(eqn)]
        for name in dict.fromkeys(n for part in parts for n in part):
            here = [part.get(name, []) for part in parts]
            one_of = [max(here, key=len)] if eqn.primitive.name == "cond" else here
            out.setdefault(name, []).extend(place for places in one_of for place in places)
    return out


def require(names: Iterable[str], jaxpr: Jaxpr) -> None:
    """Raises KeyError for a name that is not there, ValueError for one that is there twice."""
    if isinstance(names, str):
        raise TypeError(f"names of tags come as a list, got the string {names!r}; write [{names!r}]")
    have = sites(jaxpr)
    missing = sorted(set(names) - set(have))
    if missing:
        raise KeyError(f"no tag {missing} in this function; it has {list(have)}. Name one with h = tag(h, 'name')")
    twice = sorted(n for n in set(names) if len(have[n]) > 1)
    if twice:
        raise ValueError(twice_message(twice))


def tags(f: Callable) -> Callable[..., dict[str, jax.ShapeDtypeStruct]]:
    """The names in `f` and their shapes, in order; runs nothing.

    tags(f)(*args) -> {name: ShapeDtypeStruct}, as `activations` would return them: inside a scan stacked, [T ...].
    Raises ValueError if a name stands twice.
    """

    def listing(*args, **kwargs):
        jaxpr = stage(f, args, kwargs).jaxpr
        have = sites(jaxpr)
        require(have, jaxpr)
        return {name: places[0] for name, places in have.items()}

    return listing


def activations(f: Callable, names: Iterable[str] | None = None) -> Callable[..., tuple[Any, dict[str, jax.Array]]]:
    """`f` that also returns what is tagged in it.

    activations(f, names)(*args) -> (f(*args), {name: value}); None is all of them. Inside a scan values are stacked, [T ...].
    Raises KeyError for a missing name; ValueError if a name stands twice, if the branches of a cond hold different tags, or
    in a while_loop; NotImplementedError where it cannot be reached (inside custom_jvp, custom_vjp, shard_map).
    """
    names = names if names is None or isinstance(names, str) else tuple(names)

    def reading(*args, **kwargs):
        staged = stage(f, args, kwargs)
        wanted = sites(staged.jaxpr).keys() if names is None else names
        require(wanted, staged.jaxpr)
        rule = Rule(lambda e: is_tag(e, wanted), bind, collect=lambda e, outputs: {e.params["name"]: outputs[0]})
        out, found = run(staged, rule)
        return out, {name: found[name] for name in wanted}

    return reading


def intervene(f: Callable, edits: Mapping[str, Callable[[jax.Array], jax.Array]]) -> Callable:
    """`f` with each named activation `h` replaced by `edits[name](h)`; the same signature, so everything applies again.

    intervene(f, {name: edit})(*args) -> f's output. Inside a scan an edit sees one step, inside a while_loop one turn.
    Raises KeyError for a missing name; ValueError if it stands twice or an edit changes shape or dtype.
    """
    edits = dict(edits)

    def edited(*args, **kwargs):
        staged = stage(f, args, kwargs)
        require(edits, staged.jaxpr)

        def replace(eqn: Eqn, inputs: list) -> list:
            (h,), name = inputs, eqn.params["name"]
            new = jnp.asarray(edits[name](h))
            if (new.shape, new.dtype) != (h.shape, h.dtype):
                raise ValueError(
                    f"the edit of {name!r} returned {new.dtype}{list(new.shape)}, expected {h.dtype}{list(h.shape)}; e.g. "
                    f"lambda h: jnp.zeros_like(h), or jnp.broadcast_to(new, h.shape).astype(h.dtype)"
                )
            return [tag_p.bind(new, name=name)]  # the name stays: transforms around this one see the edited value

        return run(staged, Rule(lambda e: is_tag(e, edits), replace))[0]

    return edited
