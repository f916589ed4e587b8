"""What holds for every method in METHODS: the transform matrix, and the laws that none may break."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import METHODS
from rljax_viz.transforms import fast_convs
from tests import oracles
from tests.explain import tiny

OBS = jnp.stack([jnp.asarray(oracles.frame(seed)) for seed in range(4)])
SEEDS = [tiny.params(seed) for seed in range(2)]
SEARCHES = {"counterfactual"}  # a mask that changes the action is found or not, in steps that rounding sways
SMOOTH = [name for name in METHODS if name not in SEARCHES]
# each a structure of its own: plain, guided, a path in a scan, noise, a layer, variants in a map, rewritten layers
IN_LOOPS = {"gradient", "g2_grad_cam", "integrated_gradients", "smooth_grad", "score_cam", "occlusion", "sarfa", "lrp"}
# maps that are not a multiple of the score, or not of its units alone
POWERS = {"guided_grad_cam": 2, "g2_grad_cam": 2, "perturbation": 2, "sarfa": None, "score_cam": None,
          "grad_cam_plus_plus": None}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_vmap_over_frames_and_seeds_map_and_scan_equal_the_loop(name):
    explain = tiny.explain_of(name)
    loop = np.stack([[tiny.compiled(name)(p, obs) for obs in OBS] for p in SEEDS])
    stacked = jax.tree.map(lambda *w: jnp.stack(w), *SEEDS)
    batched = {"vmap": jax.jit(jax.vmap(jax.vmap(explain, (None, 0)), (0, None)))(stacked, OBS)}
    if name in IN_LOOPS:
        batched |= {
            "map": jax.jit(lambda p, xs: jax.lax.map(lambda x: explain(p, x), xs, batch_size=2))(SEEDS[0], OBS),
            "scan": jax.jit(lambda p, xs: jax.lax.scan(lambda n, x: (n + 1, explain(p, x)), 0, xs)[1])(SEEDS[0], OBS),
        }
    for way, maps in batched.items():
        assert maps.dtype == jnp.float32
        expected = loop if way == "vmap" else loop[0]
        np.testing.assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max(), err_msg=way)


@pytest.mark.parametrize("name", ["gradient", "g2_grad_cam", "layer_integrated_gradients"])
def test_runs_without_jit(name):
    map, jitted = np.asarray(tiny.explain_of(name)(SEEDS[0], OBS[1])), tiny.compiled(name)(SEEDS[0], OBS[1])
    np.testing.assert_allclose(map, jitted, atol=1e-5 * np.abs(jitted).max())


@pytest.mark.parametrize("name", [name for name in SMOOTH if name != "sarfa"])  # zero on this frame
def test_bfloat16_networks_give_float32_maps_that_point_the_same_way(name):
    half = np.asarray(tiny.compiled(name)(tiny.params(0, jnp.bfloat16), OBS[2])).ravel()
    full = np.asarray(tiny.compiled(name)(SEEDS[0], OBS[2])).ravel()
    assert half.dtype == np.float32 and np.isfinite(half).all()
    assert half @ full > 0.95 * np.linalg.norm(half) * np.linalg.norm(full) > 0


@pytest.mark.parametrize("name", METHODS)
def test_uint8_equals_float_and_traces_once(name):
    traces = []

    def f(params, obs):
        traces.append(obs.dtype)
        return tiny.f(params, obs)

    explain = jax.jit(tiny.explain_of(name, f))
    first = explain(SEEDS[0], OBS[0].astype(jnp.float32))
    count = len(traces)
    for seed in range(2):
        explain(SEEDS[seed], OBS[seed].astype(jnp.float32))
    assert len(traces) == count and set(traces) == {jnp.dtype("float32")}
    np.testing.assert_allclose(tiny.compiled(name)(SEEDS[0], OBS[0]), first, atol=1e-6 * np.abs(first).max())


@pytest.mark.parametrize("name", [name for name in SMOOTH if name != "score_cam"])  # whose units are activations
def test_what_cannot_matter_gives_a_zero_map(name):
    deaf = SEEDS[0] | {"value": jax.tree.map(jnp.zeros_like, SEEDS[0]["value"])}
    np.testing.assert_array_equal(tiny.compiled(name)(deaf, OBS[0]), 0)


@pytest.mark.parametrize("name", [name for name in SMOOTH if POWERS.get(name, 1)])
def test_linear_in_the_score_up_to_the_power_of_its_units(name):
    once = np.asarray(tiny.compiled(name)(SEEDS[0], OBS[2]))
    louder = SEEDS[0] | {"value": jax.tree.map(lambda w: 2 * w, SEEDS[0]["value"])}
    power = POWERS.get(name, 1)
    assert np.abs(once).max() > 0
    np.testing.assert_allclose(
        tiny.compiled(name)(louder, OBS[2]), 2**power * once, rtol=1e-5, atol=1e-6 * np.abs(once).max())


@pytest.mark.parametrize("name", METHODS)
def test_rest_passes_through_untouched(name):
    seen = []

    def f(params, obs, action, carry):
        seen.append((action.dtype, carry))
        return tiny.f(params, obs)

    carry = {"h": jnp.ones(2, jnp.int8), "none": None}
    jax.eval_shape(tiny.explain_of(name, f), SEEDS[0], OBS[0], jnp.int32(2), carry)
    assert seen
    for dtype, c in seen:
        assert dtype == jnp.int32 and c["h"].dtype == jnp.int8 and c["none"] is None


@pytest.mark.parametrize("name", SMOOTH)
def test_with_fast_convolutions(name):
    map = np.asarray(tiny.compiled(name)(SEEDS[0], OBS[2]))
    fast = jax.jit(tiny.explain_of(name, fast_convs(tiny.f)))(SEEDS[0], OBS[2])
    np.testing.assert_allclose(fast, map, atol=1e-5 * np.abs(map).max())


@pytest.mark.parametrize("name", METHODS)
def test_its_row_is_true(name):
    method = METHODS[name]
    assert method.factory.__name__ == name
    parameters = list(inspect.signature(method.factory).parameters)
    assert parameters[0] == "f" and (parameters[1] in ("vector", "q")) == method.vector
    assert method.vector or parameters[1] == "score"
    assert (parameters[2:3] == ["layer"]) == method.needs_layer
    assert {*method.options, *method.needs} <= set(parameters)
    size = {"obs": oracles.OBS_SHAPE[:2], "layer": (5, 5), "grid": (3, 3)}[method.resolution]
    shape = jax.eval_shape(tiny.explain_of(name), SEEDS[0], OBS[0]).shape
    assert shape[:2] == size and len(shape) == 2 + method.stacked
    if method.needs_layer:
        with pytest.raises(KeyError, match="conv1"):
            jax.eval_shape(tiny.explain_of(name, layer="no such layer"), SEEDS[0], OBS[0])
