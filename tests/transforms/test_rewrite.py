"""The public walk, and that methods of the relevance kind can be built on it."""

import inspect
import textwrap

import jax
import jax.numpy as jnp
import pytest

from rljax_viz.transforms import Rule, bind, rewrite
from rljax_viz.transforms import rewrite as function
from tests.transforms.tiny import OBS, close, model

X = jnp.array([-3.0, 0.5, 2.0])
TANH = Rule(lambda eqn: eqn.primitive.name == "tanh", lambda eqn, inputs: [jnp.clip(inputs[0], -1.0, 1.0)])


def test_the_example_of_the_module_runs_as_printed():
    lines = inspect.getmodule(function).__doc__.splitlines()
    example = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
    assert len(example.splitlines()) <= 5 and "rewrite(f, Rule(" in example
    space = {"jnp": jnp, "f": lambda x: jnp.tanh(2 * x)}
    exec(example, space)
    close(space["hard"](X), jnp.clip(2 * X, -1.0, 1.0))


WRAPS = {
    "plain": lambda f: f,
    "jit": jax.jit,
    "remat": jax.checkpoint,
    "scan": lambda f: lambda x: jax.lax.scan(lambda c, v: (c, f(v)), 0.0, x)[1],
    "cond": lambda f: lambda x: jax.lax.cond(x[0] > 9, jnp.sin, f, x),
    "while": lambda f: lambda x: jax.lax.while_loop(lambda c: c[0] < 1, lambda c: (c[0] + 1, f(c[1])), (0, x))[1],
    "vmap": jax.vmap,
    "all": lambda f: jax.jit(jax.vmap(jax.checkpoint(jax.jit(f)))),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_goes_everywhere(wrap):
    close(rewrite(wrap(jnp.tanh), TANH)(X), jnp.clip(X, -1.0, 1.0))


def test_what_is_named_opaque_is_left_alone():
    f = jax.custom_jvp(jnp.tanh)
    f.defjvp(lambda x, t: (f(*x), t[0]))
    with pytest.raises(NotImplementedError, match="inside `custom_jvp_call`"):
        rewrite(f, TANH)(X)
    close(rewrite(f, TANH._replace(opaque={"custom_jvp_call"}))(X), jnp.tanh(X))


def test_bind_and_no_match_change_nothing():
    f, params = model("linen")
    for rule in (Rule(lambda eqn: True, bind), Rule(lambda eqn: False, bind)):
        close(rewrite(f, rule)(params, OBS), f(params, OBS))


def test_a_relevance_rule_in_ten_lines():
    """Gradient x input equals LRP-0 on a ReLU network without biases (Ancona et al. 2018, arXiv:1711.06104, prop. 1)."""

    @jax.custom_vjp
    def relevance(x, w):
        return x @ w

    def backward(saved, r):
        x, w = saved
        s = r / jnp.where(x @ w == 0, 1.0, x @ w)
        return x * (w @ s), jnp.zeros_like(w)

    relevance.defvjp(lambda x, w: (x @ w, (x, w)), backward)
    identity = jax.custom_vjp(lambda x: jnp.maximum(x, 0.0))
    identity.defvjp(lambda x: (jnp.maximum(x, 0.0), x), lambda x, r: (jnp.where(x > 0, r, 0.0),))
    w1, w2 = jax.random.normal(jax.random.key(0), (3, 5)), jax.random.normal(jax.random.key(1), (5, 1))

    def f(x):
        return jnp.maximum(x @ w1, 0) @ w2

    dense = Rule(lambda eqn: eqn.primitive.name == "dot_general", lambda eqn, inputs: [relevance(*inputs)])
    out, pull = jax.vjp(rewrite(f, dense), X)
    close(pull(out)[0], X * jax.grad(lambda x: f(x)[0])(X))


def test_outputs_of_another_kind_are_refused():
    for bad, words in (
        (lambda eqn, inputs: [inputs[0][:2]], r"float32\[2\] for an equation `tanh` that makes float32\[3\]"),
        (lambda eqn, inputs: [inputs[0].astype(jnp.bfloat16)], r"bfloat16\[3\]"),
        (lambda eqn, inputs: [], "returned nothing"),
    ):
        with pytest.raises(ValueError, match=words):
            rewrite(jnp.tanh, TANH._replace(apply=bad))(X)
