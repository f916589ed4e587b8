"""All forms of a convolution against sums written out in numpy: forward and both gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.transforms import native
from rljax_viz.transforms.conv_forms import FORMS, Conv, as_lax, flipped
from rljax_viz.transforms.conv_plan import NATIVE, Plan, choose, planned
from tests.transforms.tiny import close

# kernel, stride: all strides of 1-4, kernels of whole strides and not, larger and smaller than a stride
CASES = [(k, s, "VALID") for k, s in ((3, 1), (4, 2), (5, 3), (8, 4), (1, 2))]
CASES += [(k, s, "SAME") for k, s in ((1, 1), (5, 1), (3, 2), (6, 3), (3, 4))]
PLANS = {name: Plan(name, name, name) for name in FORMS if name not in ("tiles-2x2", "tiles-2x8")} | {
    "mixed": Plan("lax", "sum", "tiles-2x4"),
    "flipped": Plan("lax", "flipped", "sum"),
}
if not native.why_not():
    PLANS["native"] = NATIVE


def setting(kernel, stride, padding, size=(10, 9)):
    pads = jax.lax.padtype_to_pads(size, (kernel, kernel), (stride, stride), padding)
    conv = Conv((stride, stride), tuple((int(lo), int(hi)) for lo, hi in pads))
    keys = jax.random.split(jax.random.key(kernel * 10 + stride), 3)
    x, w = jax.random.normal(keys[0], (2, *size, 3)), jax.random.normal(keys[1], (kernel, kernel, 3, 5))
    return conv, x, w, jax.random.normal(keys[2], jax.eval_shape(functools.partial(as_lax, conv=conv), x, w).shape)


def oracle(conv, x, w, g):
    """The result and the gradients of sum(result * g), in float64."""
    x, w, g = (np.asarray(v, np.float64) for v in (x, w, g))
    padded = np.pad(x, ((0, 0), *conv.padding, (0, 0)))
    (sh, sw), (_, oh, ow, _) = conv.strides, g.shape
    y, gx, gw = np.zeros(g.shape), np.zeros(padded.shape), np.zeros(w.shape)
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            at = np.s_[:, i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw]
            y += padded[at] @ w[i, j]
            gx[at] += g @ w[i, j].T
            gw[i, j] = np.einsum("nhwc,nhwk->ck", padded[at], g)
    (top, _), (left, _) = conv.padding
    return y, gx[:, top : top + x.shape[1], left : left + x.shape[2]], gw


def plans_for(kernel, stride):
    whole = stride == 1 or kernel % stride == 0
    return {name: plan for name, plan in PLANS.items() if whole or name != "flipped"}


@pytest.mark.parametrize(("kernel", "stride", "padding"), CASES)
def test_every_form_forward_and_backward(kernel, stride, padding):
    conv, x, w, g = setting(kernel, stride, padding)

    @jax.jit
    def everything(x, w, g):
        out = {}
        for name, plan in plans_for(kernel, stride).items():
            y, pull = jax.vjp(lambda x, w, plan=plan: planned(x, w, conv, plan), x, w)
            out[name] = (y, *pull(g))
        return out

    want = oracle(conv, x, w, g)
    for name, got in everything(x, w, g).items():
        for a, b in zip(got, want, strict=True):
            assert np.abs(np.asarray(a) - b).max() <= 1e-5 * np.abs(b).max(), name


@pytest.mark.parametrize("conv", [Conv((2, 1), ((1, 2), (0, 3))), Conv((1, 1), ((4, 0), (0, 5)))])
def test_oblong_kernels_strides_and_lopsided_padding(conv):
    x, w = jax.random.normal(jax.random.key(0), (2, 8, 7, 3)), jax.random.normal(jax.random.key(1), (4, 3, 3, 5))
    g = jax.random.normal(jax.random.key(2), jax.eval_shape(functools.partial(as_lax, conv=conv), x, w).shape)
    want = oracle(conv, x, w, g)
    for name in {"shifts", "rows", "sum", "tiles-2x4", "flipped", "native"} & PLANS.keys():
        y, pull = jax.vjp(jax.jit(lambda x, w, plan=PLANS[name]: planned(x, w, conv, plan)), x, w)
        for a, b in zip((y, *pull(g)), want, strict=True):
            assert np.abs(np.asarray(a) - b).max() <= 1e-5 * np.abs(b).max(), name


def test_flipped_needs_whole_strides():
    conv, _x, w, g = setting(3, 2, "VALID")
    with pytest.raises(ValueError, match="whole strides"):
        flipped(g, w, conv, (10, 9))


# ---------------------------------------------------- the primitive behind mixed plans: derivatives, batches, precision

CONV, X, W, G = setting(3, 1, "SAME", (5, 4))
MIXED = {name: functools.partial(planned, conv=CONV, plan=PLANS[name]) for name in ("flipped", "native") if name in PLANS}
LAX = functools.partial(as_lax, conv=CONV)


def bent(conv):
    return lambda x, w: (jnp.sin(conv(x, w)) * G).sum()


@pytest.mark.parametrize("plan", MIXED)
@pytest.mark.parametrize("second", [jax.jacrev, jax.jacfwd])
def test_second_derivatives_of_both_modes(second, plan):
    def along(conv):
        return jax.jit(second(lambda t: jax.grad(bent(conv), (0, 1))(t * X, jnp.cos(t) * W)))(0.7)

    close(along(MIXED[plan]), along(LAX))


@pytest.mark.parametrize("plan", MIXED)
def test_forward_mode(plan):
    close(jax.jvp(MIXED[plan], (X, W), (X * X, W + 1)), jax.jvp(LAX, (X, W), (X * X, W + 1)))


@pytest.mark.parametrize("plan", MIXED)
@pytest.mark.parametrize("frames", [2, 8])  # few: one batched product; many: one after the other
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (2, 3)])
def test_vmap_over_frames_seeds_or_both(frames, axes, plan):
    x, w = jax.random.normal(jax.random.key(3), (3, frames, 5, 4, 3)), jax.random.normal(jax.random.key(4), (3, *W.shape))
    args = [v[0] if axis is None else jnp.moveaxis(v, 0, axis) for v, axis in zip((x, w), axes, strict=True)]

    def outside(conv):
        return jax.vmap(jax.value_and_grad(lambda x, w: (conv(x, w) ** 2).sum(), (0, 1)), axes)(*args)

    def inside(conv):
        return jax.grad(lambda args: (jax.vmap(conv, axes)(*args) ** 2).sum())(args)

    for way in (outside, inside):
        close(jax.jit(lambda way=way: way(MIXED[plan]))(), jax.jit(lambda way=way: way(LAX))())


@pytest.mark.parametrize("plan", [PLANS["flipped"], PLANS["mixed"], PLANS["rows"]])
def test_bfloat16_stays_bfloat16(plan):
    x, w = X.astype(jnp.bfloat16), W.astype(jnp.bfloat16)
    y, pull = jax.vjp(functools.partial(planned, conv=CONV, plan=plan), x, w)
    back = pull(G.astype(jnp.bfloat16))
    assert {v.dtype for v in (y, *back)} == {jnp.dtype(jnp.bfloat16)}
    for a, b in zip((y, *back), oracle(CONV, X, W, G), strict=True):
        assert np.abs(np.asarray(a, np.float32) - b).max() <= 0.03 * np.abs(b).max()


def test_precision_is_handed_on():
    for name, plan in PLANS.items():
        for precision in (jax.lax.Precision.HIGHEST, (jax.lax.Precision.DEFAULT, jax.lax.Precision.HIGHEST)):
            conv = CONV._replace(precision=precision)
            text = str(jax.make_jaxpr(jax.grad(lambda x, c=conv, p=plan: planned(x, W, c, p).sum()))(X))
            assert "HIGHEST" in text or name == "native", name  # oneDNN has one precision a dtype


# ------------------------------------------------------------------------------------------------------ what is chosen


def shapes(side, c, kernel, out, stride, padding):
    pads = jax.lax.padtype_to_pads((side, side), (kernel, kernel), (stride, stride), padding)
    return (1, side, side, c), (kernel, kernel, c, out), Conv((stride, stride), tuple(pads))


LAYERS = {
    "nature/conv1": shapes(84, 4, 8, 32, 4, "VALID"),
    "nature/conv2": shapes(20, 32, 4, 64, 2, "VALID"),
    "nature/conv3": shapes(9, 64, 3, 64, 1, "VALID"),
    "minatar": shapes(10, 4, 3, 16, 1, "VALID"),
    "coinrun/1a": shapes(64, 3, 7, 16, 1, "SAME"),
    "coinrun/2b": shapes(32, 32, 5, 32, 1, "SAME"),
    "coinrun/4a": shapes(8, 32, 5, 32, 1, "SAME"),
    "odd stride": shapes(84, 3, 7, 64, 2, "SAME"),
    "odd small": shapes(21, 64, 3, 64, 2, "SAME"),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_no_gradient_is_left_to_lax(layer, monkeypatch):
    monkeypatch.setattr(native, "usable", lambda dtype: False)
    plan = choose(*LAYERS[layer])
    assert plan.forward in FORMS and plan.by_weights in FORMS and plan.by_input in {*FORMS, "flipped"}
    assert "lax" not in plan[1:] and "patches" not in plan  # a hundred times slower in a scan


@pytest.mark.parametrize("with_native", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_every_chosen_plan_runs_on_its_layer(layer, with_native, monkeypatch):
    if not with_native:
        monkeypatch.setattr(native, "usable", lambda dtype: False)
    x, w, conv = LAYERS[layer]

    def loss(x, w):
        return planned(x, w, conv, choose(x.shape, w.shape, conv)).sum()

    got = jax.eval_shape(jax.grad(loss, (0, 1)), jax.ShapeDtypeStruct(x, "float32"), jax.ShapeDtypeStruct(w, "float32"))
    assert [v.shape for v in got] == [x, w]
