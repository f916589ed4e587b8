import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import integrated_gradients, scores
from tests import oracles
from tests.explain import tiny


def nodes_of(rule, steps):
    if rule == "midpoint":
        return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    x, w = np.polynomial.legendre.leggauss(steps)
    return (x + 1) / 2, w / 2


@pytest.mark.parametrize(
    ("rule", "baseline"), [("gauss_legendre", 0.0), ("gauss_legendre", "mean frame"), ("midpoint", 127.5)])
def test_equals_the_hand_written_backward_pass(rule, baseline):
    obs = oracles.frame()
    start = np.mean([oracles.frame(s) for s in range(9)], 0) if isinstance(baseline, str) else baseline
    reference = oracles.integrated_gradients(oracles.weights(), obs, "logit:2", start, *nodes_of(rule, 7))
    explain = integrated_gradients(tiny.f, scores.logit(2), 7, jnp.asarray(start, jnp.float32), rule)
    tiny.close(jax.jit(explain)(tiny.params(), jnp.asarray(obs)), reference)


def test_polynomials_are_exact():
    # x^3 from 1 to x: the path integral is x^3 - 1 a pixel, and two Gauss-Legendre nodes hit it.
    obs = jnp.array([[2.0, -1.0, 3.0]])
    map = integrated_gradients(lambda p, x: (p * x**3).sum(), lambda out: out, 2, 1.0)(jnp.float32(0.5), obs)
    np.testing.assert_allclose(map, 0.5 * (np.asarray(obs) ** 3 - 1), rtol=1e-5)


@pytest.mark.parametrize(
    ("score", "rule", "baseline"),
    [
        (scores.value, "gauss_legendre", 0.0),
        (scores.log_prob(1), "gauss_legendre", 100.0),
        (scores.difference(0, 3), "midpoint", 0.0),
    ],
)
def test_completeness(score, rule, baseline):
    obs, p = jnp.asarray(oracles.frame(3)), tiny.params()
    map = jax.jit(integrated_gradients(tiny.f, score, 300, baseline, rule))(p, obs)
    change = score(tiny.f(p, obs)) - score(tiny.f(p, jnp.full(obs.shape, baseline)))
    np.testing.assert_allclose(map.sum(), change, atol=2e-3 * float(jnp.abs(map).sum()))


def test_wherever_the_affine_part_ends():
    w = jnp.asarray(np.random.default_rng(0).normal(size=(6, 6)), jnp.float32)
    obs = jnp.asarray(np.random.default_rng(1).uniform(0, 1, 6), jnp.float32)
    networks = {
        "at once": lambda w, x: jnp.tanh(x) @ w[0],
        "after a product without bias": lambda w, x: jnp.tanh(x @ w).sum(),
        "after a bias": lambda w, x: jnp.tanh(x @ w + w[1]).sum(),
        "in two places": lambda w, x: (jnp.tanh(x @ w) * jnp.tanh(2 * x)).sum() + x @ w[0],
        "never": lambda w, x: (x @ w).sum() + 3,
        "in a place of its own": lambda w, x: jnp.tanh(w).sum(),
    }
    for where, f in networks.items():
        map = integrated_gradients(f, lambda out: out, 20, 0.25)(w, obs)
        change = f(w, obs) - f(w, jnp.full(6, 0.25))
        np.testing.assert_allclose(map.sum(), change, rtol=1e-4, atol=1e-5, err_msg=where)
        slope = [jax.grad(f, 1)(w, 0.25 + a * (obs - 0.25)) for a in nodes_of("gauss_legendre", 20)[0]]
        mean = np.tensordot(nodes_of("gauss_legendre", 20)[1], np.stack(slope), 1)
        np.testing.assert_allclose(map, (obs - 0.25) * mean, rtol=1e-3, atol=1e-5, err_msg=where)


def test_the_path_of_length_zero_is_silent():
    obs = jnp.asarray(oracles.frame())
    map = integrated_gradients(tiny.f, scores.value, 3, obs.astype(jnp.float32))(tiny.params(), obs)
    np.testing.assert_array_equal(map, 0)


def test_memory_does_not_grow_with_the_steps():
    p, obs = tiny.params(), jnp.asarray(oracles.frame())

    def peak(steps):
        explain = jax.jit(jax.vmap(integrated_gradients(tiny.f, scores.value, steps), (None, 0)))
        return explain.lower(p, jnp.stack([obs] * 8)).compile().memory_analysis().temp_size_in_bytes

    few, many = peak(4), peak(400)
    assert few > 0
    assert many - few < 400 * 4 * 8  # less than one float a step and frame; keeping each step would be 1,000 times that


def test_the_affine_prefix_runs_once():
    obs = jnp.asarray(oracles.frame())
    program = jax.make_jaxpr(integrated_gradients(tiny.f, scores.value, 9))(tiny.params(), obs)
    (inside,) = (eqn.params["jaxpr"].jaxpr for eqn in program.eqns if eqn.primitive.name == "scan")
    # The loop holds the second convolution, forward and back; the first stands outside: forward twice, back once.
    assert convolutions(inside) == 2
    assert convolutions(program.jaxpr) == 2 + 3


def convolutions(jaxpr):
    """How many convolutions a program holds, sub-programs included; dead ones do not count."""
    import jax.interpreters.partial_eval as pe

    live, _ = pe.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    n = 0
    for eqn in live.eqns:
        n += eqn.primitive.name == "conv_general_dilated"
        for body in jax.tree.leaves(eqn.params, is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr")):
            body = getattr(body, "jaxpr", body)
            n += convolutions(body) if hasattr(body, "eqns") else 0
    return n


def test_refusals():
    obs = jnp.asarray(oracles.frame())
    for steps in (0, 1.5):
        with pytest.raises(ValueError, match="whole number of steps"):
            integrated_gradients(tiny.f, scores.value, steps)  # pyright: ignore[reportArgumentType]
    for rule in ("simpson", "right"):
        with pytest.raises(ValueError, match="choose 'gauss_legendre' or 'midpoint'"):
            integrated_gradients(tiny.f, scores.value, rule=rule)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"baseline has shape \(3,\), the observation \(12, 11, 3\)"):
        integrated_gradients(tiny.f, scores.value, baseline=jnp.zeros(3))(tiny.params(), obs)
    with pytest.raises(ValueError, match="ONE floating number"):
        integrated_gradients(tiny.f, lambda out: out.logits)(tiny.params(), obs)
