import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.images import receptive_field


def test_the_papers_numbers():
    assert receptive_field([8, 4, 3], [4, 2, 1], [0, 0, 0]) == (36, 8, 0)  # Nature CNN, sparse FLS
    assert receptive_field([8], [4], [0]) == (8, 4, 0)  # its first layer
    assert receptive_field([7, 5, 3], [1, 1, 1], [3, 2, 1]) == (13, 1, 6)  # dense FLS
    assert receptive_field([], [], []) == (1, 1, 0)  # the frame itself


@pytest.mark.parametrize(("h", "chain"), [(7, (36, 8, 0)), (84, (13, 1, 6)), (20, (8, 4, 0))])
def test_covers_the_frame(h, chain):
    size, stride, padding = chain
    assert size + (h - 1) * stride - 2 * padding == 84


def test_is_where_the_gradient_lives():
    kernels, strides, paddings = [3, 2, 3], [2, 1, 2], [1, 0, 1]

    def unit(x, i):
        x = x[None, :, None]
        for k, s, p in zip(kernels, strides, paddings, strict=True):
            x = jax.lax.conv_general_dilated(
                x, jnp.ones((k, 1, 1)), (s,), [(p, p)], dimension_numbers=("NWC", "WIO", "NWC"))
        return x[0, i, 0]

    size, stride, padding = receptive_field(kernels, strides, paddings)
    for i in range(1, 4):
        seen = np.flatnonzero(jax.grad(unit)(jnp.ones(40), i))
        expected = np.arange(i * stride - padding, i * stride - padding + size)
        np.testing.assert_array_equal(seen, expected[expected >= 0])


def test_refusals():
    with pytest.raises(ValueError, match="one kernel, stride and padding a layer"):
        receptive_field([8, 4], [4], [0, 0])
    for bad in ([[0], [1], [0]], [[3], [0], [0]], [[3], [1], [-1]]):
        with pytest.raises(ValueError, match="no convolution has"):
            receptive_field(*bad)
