import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain.path import path_gradient, quadrature


@pytest.mark.parametrize("rule", ["gauss_legendre", "midpoint", "right"])
def test_weights_sum_to_one_and_nodes_lie_inside(rule):
    for steps in (1, 2, 7, 50):
        nodes, weights = quadrature(rule, steps)
        assert nodes.shape == weights.shape == (steps,) and nodes.dtype == weights.dtype == np.float32
        assert (nodes > 0).all() and (nodes <= 1).all()
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-6)


def test_exactness():
    nodes, weights = quadrature("gauss_legendre", 4)
    for degree in range(8):  # 2 * 4 - 1 = 7 is the last exact one
        np.testing.assert_allclose((weights * nodes**degree).sum(), 1 / (degree + 1), rtol=1e-6)
    nodes, weights = quadrature("midpoint", 3)
    np.testing.assert_allclose(nodes, [1 / 6, 3 / 6, 5 / 6], rtol=1e-6)
    np.testing.assert_allclose(quadrature("right", 4)[0], [0.25, 0.5, 0.75, 1.0])


def test_gradient_of_a_polynomial_over_a_tree():
    # grad of a^3 + b^2 along (a, b) = (t, 1 + 2t): means of 3 t^2 and 2 (1 + 2t), which are 1 and 4.
    start = {"a": jnp.float32(0), "b": jnp.float32(1)}
    step = {"a": jnp.float32(1), "b": jnp.float32(2)}
    slope = path_gradient(lambda z: z["a"] ** 3 + z["b"] ** 2, start, step, *quadrature("gauss_legendre", 2))
    np.testing.assert_allclose([slope["a"], slope["b"]], [1, 4], rtol=1e-6)


def test_half_precision_points_are_summed_in_float32():
    start, step = jnp.zeros(3, jnp.bfloat16), jnp.ones(3, jnp.bfloat16)
    total = lambda z: z.astype(jnp.float32).sum()  # noqa: E731
    slope = path_gradient(total, start, step, *quadrature("right", 300))
    assert slope.dtype == jnp.float32
    np.testing.assert_allclose(slope, 1, rtol=1e-5)  # 300 terms of 1/300 stall at 0.5 in bfloat16


def test_refusals():
    for steps in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="whole number of steps"):
            quadrature("midpoint", steps)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="rule='simpson' is unknown"):
        quadrature("simpson", 3)  # pyright: ignore[reportArgumentType]
