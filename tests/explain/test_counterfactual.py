import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import counterfactual


def f(params, obs):
    """Goes right while the bright bar on the left is sharp."""
    edge = (obs[10:20, 8:10, 0] - obs[10:20, 2:4, 0]).mean()
    return jnp.stack([edge / 100, jnp.asarray(0.6), params])


OBS = jnp.zeros((40, 40, 1)).at[10:20, 8:10].set(200.0)


def test_a_small_mask_where_it_matters_changes_the_action():
    mask = np.asarray(jax.jit(counterfactual(f, lambda out: out, cells=20, steps=150))(jnp.float32(-1), OBS))
    assert mask.shape == (40, 40) and mask.min() >= 0 and mask.max() <= 1
    inside = mask[10:20, 6:12].mean()
    assert inside > 3 * mask[25:, 25:].mean() and mask.mean() < 0.35
    from rljax_viz.images import gaussian_blur

    edited = OBS + mask[..., None] * (gaussian_blur(OBS, 5.0) - OBS)
    assert f(jnp.float32(-1), OBS).argmax() == 0 and f(jnp.float32(-1), edited).argmax() == 1


def test_more_sparsity_a_smaller_mask():
    sizes = [np.asarray(counterfactual(f, lambda out: out, sparsity=s)(jnp.float32(-1), OBS)).mean() for s in (0.0, 2.0)]
    assert sizes[1] < sizes[0]


def test_nan_where_no_blur_helps():
    mask = counterfactual(lambda p, obs: jnp.array([1.0, 0.0]) + 0 * obs.sum(), lambda out: out, steps=5)(None, OBS)
    assert np.isnan(mask).all()


def test_refusals():
    with pytest.raises(ValueError, match="at least two actions"):
        counterfactual(lambda p, obs: obs.mean(), lambda out: out)(None, OBS)
    with pytest.raises(ValueError, match=r"\[H W C\]"):
        counterfactual(f, lambda out: out)(jnp.float32(0), OBS[None])
