"""Which action is meant by "chosen": the one that was taken."""

from typing import Any

from rljax_viz.explain.contract import Network


def record(f: Network) -> Network:
    """`f` that is also told the action that was taken, and hands it on in `Output.action` for `scores.chosen_*`.

    record(f)(params, obs, action, *rest) -> f(params, obs, *rest) with `action` (int, scalar) set.
    Raises TypeError if `f` does not return a NamedTuple with a field `action`.
    """

    def recorded(params: Any, obs: Any, action: Any, *rest: Any) -> Any:
        out = f(params, obs, *rest)
        if "action" not in getattr(out, "_fields", ()):
            raise TypeError(
                f"record needs a function that returns a NamedTuple with a field `action` (networks.Output), "
                f"got {type(out).__name__}; or close over the action: score = lambda out: out[action]"
            )
        return out._replace(action=action)

    return recorded
