"""Every method x every network x every layer, by shapes alone; values where they are cheap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.explain import METHODS, gradient, record, scores
from rljax_viz.transforms import fast_convs, tags
from tests.explain import tiny


def shape_of(name):
    if name == "minatar-split-attention":  # a window of ten frames
        return (10, 10, 60)
    return (10, 10, 6) if name.startswith("minatar") else (64, 64, 3) if name == "coinrun" else (84, 84, 4)


SHAPES = {name: shape_of(name) for name in networks.NAMES}
DUEL = ["value", "q:3", "advantage:0", "difference:1,2"]
COVERING = ("nature", "nature-dueling", "minatar", "coinrun", "sparse-fls-each-conv")  # the others are slow
ACTOR_CRITIC = ["value", "logit:3", "log_prob:1", "entropy", "difference:1,2"]


def network(name):
    net = networks.make(name, num_actions=6)
    obs = jax.ShapeDtypeStruct(SHAPES[name], jnp.uint8)
    return net, jax.eval_shape(net.init, jax.random.key(0), obs), obs


def questions(net, params, obs):
    """The scores that a network answers, and the one of the recorded action."""
    out = jax.eval_shape(net.apply, params, obs)
    if out.q is None:
        return ACTOR_CRITIC, scores.chosen_logit
    return ["q:3", "q:greedy"] if out.advantage is None else DUEL, scores.chosen_q


def how_often(name):
    """The twins and variants of what else is here are asked least, and what is slowest."""
    alike = name.startswith(("minatar-", "sparse-fls-", "dense-fls-")) or name == "split-attention"
    return [] if name in COVERING else [pytest.mark.long if alike else pytest.mark.slow]


NAMED = [pytest.param(name, False, marks=how_often(name)) for name in SHAPES]


@pytest.mark.parametrize(("name", "fast"), [*NAMED, ("nature", True), ("minatar", True)])
def test_shapes(name, fast):
    net, params, obs = network(name)
    f = fast_convs(net.apply) if fast else net.apply
    layers = {layer: h.shape for layer, h in tags(net.apply)(params, obs).items()}
    assert layers
    for method_name, method in METHODS.items():
        score = scores.parse(questions(net, params, obs)[0][0])
        for layer, shape in layers.items() if method.needs_layer else [(None, None)]:
            explain = tiny.build(method_name, f, score, layer, obs.shape)
            if layer is not None and len(shape) != 3 and "cam" in method_name:
                with pytest.raises(ValueError, match=r"layer \[h w c\]"):
                    jax.eval_shape(explain, params, obs)
                continue
            map = jax.eval_shape(explain, params, obs)
            grid = tuple(-(-side // 5) for side in obs.shape[:2])
            expected = {"obs": obs.shape, "layer": shape, "grid": grid}[method.resolution]
            assert map.shape == (expected if method.stacked else expected[:2]), (method_name, layer)
            assert map.dtype == jnp.float32, (method_name, layer)


@pytest.mark.parametrize("name", SHAPES)
def test_scores(name):
    net, params, obs = network(name)
    texts, chosen = questions(net, params, obs)
    for text in texts:
        assert jax.eval_shape(gradient(net.apply, scores.parse(text)), params, obs).shape == obs.shape
    action = jax.ShapeDtypeStruct((), jnp.int32)
    assert jax.eval_shape(gradient(record(net.apply), chosen), params, obs, action).shape == obs.shape


@pytest.mark.long  # tests/runs/test_explain.py runs them all on MinAtar, too
@pytest.mark.parametrize("method_name", METHODS)
def test_values_on_minatar(method_name):
    net = networks.make("minatar", num_actions=6)
    obs = jnp.asarray(255 * np.random.default_rng(0).integers(0, 2, SHAPES["minatar"]), jnp.uint8)
    params = net.init(jax.random.key(0), obs)
    # A policy head starts near zero, so explain the value; its weights are of order one.
    map = np.asarray(jax.jit(tiny.build(method_name, net.apply, scores.value, "conv1", obs.shape))(params, obs))
    if method_name == "counterfactual" and np.isnan(map).all():
        return  # none found, as it says
    assert np.isfinite(map).all() and np.abs(map).max() > 0
