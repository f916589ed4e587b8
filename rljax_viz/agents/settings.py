"""What settings may be: each algorithm says it of every one of its fields, by these few rules."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any


def _is(kind: type, x: Any) -> bool:
    return isinstance(x, kind) and not isinstance(x, bool)


#: rule -> (whether a value keeps it, what is expected)
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "counts": (lambda x: _is(Integral, x) and x >= 1, "1 or more, whole"),
    "counts_or_0": (lambda x: _is(Integral, x) and x >= 0, "0 or more, whole"),
    "positive": (lambda x: _is(Real, x) and x > 0, "more than 0"),
    "not_negative": (lambda x: _is(Real, x) and x >= 0, "0 or more"),
    "parts": (lambda x: _is(Real, x) and 0 <= x <= 1, "between 0 and 1"),
    "flags": (lambda x: isinstance(x, bool), "true or false"),
}


def check_settings(config: Any, **fields: tuple[str, ...]) -> None:
    """Raises ValueError for the first field of `config` that breaks its rule; `fields` names those of each rule."""
    for rule, names in fields.items():
        keeps, expected = _RULES[rule]
        for name in names:
            value = getattr(config, name)
            if not keeps(value):
                raise ValueError(f"{name} is {value!r}, expected {expected}")
