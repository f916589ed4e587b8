"""What is explained: a score picks one number from an Output. `parse` reads the same scores from a command line.

A "chosen" action is the one that was taken (`record(f)` sets it); a "greedy" one is the argmax, held constant under
differentiation. Explain logits, not probabilities: a saturated softmax has no slope left (FACTS R6).
"""

import difflib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.explain.contract import Score

# ------------------------------------------------------------------- reading an Output


def _fields(out: Any) -> list[str]:
    names = getattr(out, "_fields", None) or tuple(getattr(out, "__dict__", ()))
    return [name for name in names if getattr(out, name) is not None]


def _field(out: Any, name: str) -> jax.Array:
    """`out.name`; ValueError where the network has none."""
    x = getattr(out, name, None)
    if x is not None:
        return jnp.asarray(x)
    have = _fields(out)
    forms = [form for field, form in (("value", "value"), ("q", "q:greedy"), ("logits", "logit:greedy")) if field in have]
    typed = f" ({', '.join(forms)} on a command line)" if forms else ""
    fix = (
        "set it: record(f)(params, obs, action)"
        if name == "action"
        else f"choose a score of those{typed}, or write your own: score = lambda out: ..."
    )
    raise ValueError(f"this network's {type(out).__name__} has no `{name}`; it has {have}; {fix}")


def _vector(out: Any, name: str) -> jax.Array:
    """`out.name`, one number an action."""
    x = _field(out, name)
    if x.ndim != 1:
        raise ValueError(
            f"`{name}` of ONE observation is [A], got shape {x.shape}; for a batch: jax.vmap(explain, (None, 0))"
        )
    return x


def _action(a: Any) -> Any:
    """An index that can be checked now is checked now; a traced one (vmap over actions) passes through."""
    if isinstance(a, jax.Array):
        if a.shape != () or not jnp.issubdtype(a.dtype, jnp.integer):
            raise ValueError(f"an action is one whole number, got shape {a.shape} of {a.dtype}")
        return a
    if isinstance(a, bool) or not isinstance(a, int | np.integer) or a < 0:
        raise ValueError(f"an action is a whole number from 0, got {a!r}")
    return int(a)


def _pick(vector: jax.Array, a: Any, name: str) -> jax.Array:
    """vector[a]. An action outside is an error; NaN, map and all, where it is only known at run time."""
    n = vector.shape[0]
    if isinstance(a, int):
        if a >= n:
            raise ValueError(f"`{name}` has {n} actions, 0..{n - 1}; there is no action {a}")
        return vector[a]
    inside = jnp.where((a >= 0) & (a < n), jnp.ones((), vector.dtype), jnp.full((), jnp.nan, vector.dtype))
    return vector[jnp.clip(a, 0, n - 1)] * inside


def _log_probs(out: Any) -> jax.Array:
    return jax.nn.log_softmax(_vector(out, "logits"))


def vector(name: str) -> Callable[[Any], jax.Array]:
    """All outputs of one kind, for methods that compare them: "logits", "q" or "advantage" -> [A]; "value" -> [1].

    ValueError for another name, or (when it is called) where the network has none.
    """
    if name not in ("logits", "q", "advantage", "value"):
        raise ValueError(f"no outputs {name!r} to compare; choose logits, q, advantage or value")
    if name == "value":
        return lambda out: jnp.atleast_1d(_field(out, "value"))
    return lambda out: _vector(out, name)


# ------------------------------------------------------------------- scores of the state


def value(out: Any) -> jax.Array:
    """The value of the state, in units of return. ValueError without a value head."""
    return _field(out, "value")


def entropy(out: Any) -> jax.Array:
    """The entropy of the policy, in nats; actions of probability 0 add 0. ValueError without logits."""
    log_p = _log_probs(out)
    possible = log_p > -jnp.inf
    log_p = jnp.where(possible, log_p, 0)  # so that 0 * -inf spoils neither the sum nor its slope
    return -jnp.where(possible, jnp.exp(log_p) * log_p, 0).sum()


# ------------------------------------------------------------------- scores of an action


def q(a: int) -> Score:
    """q[a], in units of return. ValueError without q, or without such an action."""
    a = _action(a)
    return lambda out: _pick(_vector(out, "q"), a, "q")


def logit(a: int) -> Score:
    """logits[a], before the softmax. ValueError without logits, or without such an action."""
    a = _action(a)
    return lambda out: _pick(_vector(out, "logits"), a, "logits")


def log_prob(a: int) -> Score:
    """log softmax(logits)[a], in nats. ValueError without logits, or without such an action."""
    a = _action(a)
    return lambda out: _pick(_log_probs(out), a, "logits")


def advantage(a: int) -> Score:
    """advantage[a], in units of return. ValueError without an advantage stream, or without such an action."""
    a = _action(a)
    return lambda out: _pick(_vector(out, "advantage"), a, "advantage")


def difference(a: int, b: int) -> Score:
    """logits[a] - logits[b], or q[a] - q[b] where there are no logits: why a and not b? ValueError without either."""
    a, b = _action(a), _action(b)

    def score(out: Any) -> jax.Array:
        name = "q" if getattr(out, "logits", None) is None and getattr(out, "q", None) is not None else "logits"
        x = _vector(out, name)
        return _pick(x, a, name) - _pick(x, b, name)

    return score


def greedy_q(out: Any) -> jax.Array:
    """max q: q of the best action. ValueError without q."""
    x = _vector(out, "q")
    return x[jnp.argmax(x)]


def greedy_logit(out: Any) -> jax.Array:
    """The logit of the most likely action. ValueError without logits."""
    x = _vector(out, "logits")
    return x[jnp.argmax(x)]


def chosen_q(out: Any) -> jax.Array:
    """q of the action that was taken. ValueError without q or a recorded action; NaN if there is no such action."""
    return _pick(_vector(out, "q"), _action(_field(out, "action")), "q")


def chosen_logit(out: Any) -> jax.Array:
    """The logit of the action that was taken. ValueError without logits or a recorded action; NaN as `chosen_q`."""
    return _pick(_vector(out, "logits"), _action(_field(out, "action")), "logits")


def chosen_log_prob(out: Any) -> jax.Array:
    """Its log probability, in nats. ValueError without logits or a recorded action; NaN as `chosen_q`."""
    return _pick(_log_probs(out), _action(_field(out, "action")), "logits")


# ------------------------------------------------------------------- scores from a command line

_PLAIN = {"value": value, "entropy": entropy}
_OF_ACTION = {"q": q, "logit": logit, "log_prob": log_prob, "advantage": advantage}
_WORDS = {
    "q:chosen": chosen_q,
    "q:greedy": greedy_q,
    "logit:chosen": chosen_logit,
    "logit:greedy": greedy_logit,
    "log_prob:chosen": chosen_log_prob,
}
FORMS = (*_PLAIN, *_WORDS, *(f"{name}:<action>" for name in _OF_ACTION), "difference:<action>,<action>")
"""Every form that `parse` reads."""


def parse(text: str) -> Score:
    """The score named on a command line: 'value', 'logit:3', 'q:chosen', 'difference:2,3', ... (FORMS lists them).

    Raises ValueError that says what exists, and what was probably meant.
    """
    if text in _PLAIN | _WORDS:
        return (_PLAIN | _WORDS)[text]
    name, _, argument = text.partition(":")
    actions = argument.split(",") if argument else []
    if all(a.isascii() and a.isdigit() for a in actions):
        if name in _OF_ACTION and len(actions) == 1:
            return _OF_ACTION[name](int(actions[0]))
        if name == "difference" and len(actions) == 2:
            return difference(int(actions[0]), int(actions[1]))
    near = difflib.get_close_matches(text, FORMS, n=2, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise ValueError(f"no score {text!r}.{hint} There are: {', '.join(FORMS)}; actions count from 0, e.g. 'logit:3'")
