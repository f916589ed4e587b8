"""The public walk: a function whose equations of one kind are replaced by something else.

    rule = Rule(lambda eqn: eqn.primitive.name == "tanh", lambda eqn, inputs: [jnp.clip(inputs[0], -1, 1)])
    hard = rewrite(f, rule)

`guided`, `deconv` and `fast_convs` are built on it; so can be LRP or DeepLIFT, where `apply` calls a `jax.custom_vjp`.
"""

from __future__ import annotations

from collections.abc import Callable

from rljax_viz.transforms._interpret import Rule, run, stage


def rewrite(f: Callable, rule: Rule) -> Callable:
    """`f` with `rule.apply(eqn, inputs) -> outputs` in place of every equation that `rule.matches(eqn)` picks.

    rewrite(f, rule)(*args) -> f's output. Goes into jit, remat, scan, cond and while_loop; the rest is bound unchanged.
    `bind(eqn, inputs)` gives the equation's own outputs. Matching nothing is no error: the rule may ask before.
    Raises NotImplementedError where a match lies inside anything else and `rule.opaque` does not name it.
    """

    def rewritten(*args, **kwargs):
        return run(stage(f, args, kwargs), rule)[0]

    return rewritten
