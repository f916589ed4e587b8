"""The public walk: a function whose equations of one kind are replaced by something else.

    from rljax_viz.transforms import Rule, rewrite

    is_tanh = lambda eqn: eqn.primitive.name == "tanh"
    hard_tanh = lambda eqn, inputs: [jnp.clip(inputs[0], -1, 1)]
    hard = rewrite(f, Rule(is_tanh, hard_tanh))  # the same signature as f

`guided`, `deconv` and `fast_convs` are built on it; so can be LRP or DeepLIFT, whose `apply` calls a `jax.custom_vjp`.
"""

from __future__ import annotations

from collections.abc import Callable

from rljax_viz.transforms._interpret import Rule, run, stage


def rewrite(f: Callable, rule: Rule) -> Callable:
    """`f` with `rule.apply(eqn, inputs) -> outputs` in place of every equation that `rule.matches(eqn)` picks.

    rewrite(f, rule)(*args) -> f's output. Goes into jit, remat, scan, cond and while_loop; what does not match is bound
    unchanged, and so is `bind(eqn, inputs)`, for an `apply` that only wants to look. Matching nothing is no error.
    Raises NotImplementedError where a match lies inside anything else and `rule.opaque` does not name it; ValueError if
    `apply` returns another number of outputs, other shapes or other dtypes.
    """

    def checked(eqn, inputs):
        outputs = list(rule.apply(eqn, inputs))
        got = [(getattr(out, "shape", ()), getattr(out, "dtype", None)) for out in outputs]
        want = [(v.aval.shape, v.aval.dtype) for v in eqn.outvars]
        if got != want:
            raise ValueError(
                f"the rule's apply returned {_words(got)} for an equation `{eqn.primitive.name}` that makes {_words(want)}; "
                "return a list with one array an output, e.g. [y.astype(eqn.outvars[0].aval.dtype)]"
            )
        return outputs

    def rewritten(*args, **kwargs):
        return run(stage(f, args, kwargs), rule._replace(apply=checked))[0]

    return rewritten


def _words(avals: list) -> str:
    return ", ".join(f"{dtype}{list(shape)}" for shape, dtype in avals) or "nothing"
