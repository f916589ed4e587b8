"""Any function with its convolutions in other forms: equal, complete, and honest about what is left."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from rljax_viz.transforms import conv_report, fast_convs, guided, native
from rljax_viz.transforms.conv_forms import FORMS
from tests.transforms.tiny import LIBRARIES, OBS, close, model

X, W = jax.random.normal(jax.random.key(0), (2, 9, 8, 4)), jax.random.normal(jax.random.key(1), (3, 3, 4, 6))
LAYOUT = ("NHWC", "HWIO", "NHWC")


GROUPED = jax.random.normal(jax.random.key(3), (3, 3, 2, 4))


def grouped(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=LAYOUT, feature_group_count=2)


def convolutions(f, *args):
    return str(jax.make_jaxpr(f)(*args)).count("conv_general_dilated[")


def conv(x, w, **kwargs):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=LAYOUT, **kwargs)


@pytest.mark.parametrize(
    ("library", "form"), list(zip(LIBRARIES, ["shifts", "rows", "sum", "tiles-2x2", "tiles-2x8"], strict=True))
)
def test_every_library(library, form):
    f, params = model(library)
    fast = fast_convs(jax.jit(f), form=form)
    assert convolutions(f, params, OBS) == 1 and convolutions(fast, params, OBS) == 0

    def everything(g):
        return g(params, OBS), jax.grad(lambda *args: g(*args).value, (0, 1))(params, OBS)

    got, want = jax.jit(lambda: (everything(fast), everything(f)))()
    close(got, want)


def test_inside_a_scan_that_learns():
    f, params = model("linen")

    def learn(g):
        def step(params, obs):
            slopes = jax.grad(lambda p: g(p, obs).value)(params)
            return jax.tree.map(lambda p, s: p - 0.1 * s, params, slopes), None

        return jax.jit(lambda p: lax.scan(step, p, jnp.stack([OBS, OBS / 2]))[0])(params)

    close(learn(fast_convs(f, form="tiles-2x4")), learn(f))


def test_rewrites_a_whole_training_step_before_it_is_differentiated():
    def update(w, xs):
        return lax.scan(lambda c, x: (c, fast_convs(conv, form="rows")(x, w).sum()), 0.0, xs)[1].sum()

    assert convolutions(jax.grad(update), W, X[None]) == 0


def test_no_gradient_in_xla_s_slow_layout(monkeypatch):
    """The convolutions of the gradient have their operands as forward ones have: the other layout is slow in a scan."""
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.setattr(native, "usable", lambda dtype: False)
    x, w = jnp.ones((8, 20, 20, 32)), jnp.ones((5, 5, 32, 32))  # large enough for a plan that mixes forms

    def layouts(f):
        text = jax.jit(jax.grad(lambda x, w: (f(x, w) ** 2).sum(), (0, 1))).lower(x, w).as_text()
        calls = [part for part in text.split("stablehlo.conv")[1:] if "dim_numbers" in part]
        return [call.split("dim_numbers = ")[1].split(", window")[0] for call in calls]

    forward = "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"
    assert set(layouts(fast_convs(conv))) == {forward} and len(layouts(fast_convs(conv))) == 2
    assert len(set(layouts(conv))) == 3


def test_on_cpu_only(monkeypatch):
    f, params = model("plain")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert convolutions(fast_convs(f), params, OBS) == 1
    assert convolutions(fast_convs(f, form="rows"), params, OBS) == 0


def test_guided_and_seeds():
    f, params = model("plain")
    seeds = jax.tree.map(lambda p: jnp.stack([p, 2 * p, -p]), params)
    batch = jnp.stack([OBS, OBS / 2])
    maps = {}
    fast, other = fast_convs(guided(f), form="shifts"), guided(fast_convs(f, form="sum"))
    for name, g in (("fast", fast), ("other", other), ("f", guided(f))):
        slope = jax.grad(lambda p, o, g=g: g(p, o).value, 1)
        maps[name] = jax.jit(jax.vmap(jax.vmap(slope, (None, 0)), (0, None)))(seeds, batch)
    close(maps["fast"], maps["f"])
    close(maps["other"], maps["f"])


LEFT = {
    "one-dimensional": (lambda x: lax.conv(x[:, 0].swapaxes(1, 2), jnp.ones((5, 4, 3)), (1,), "SAME"), "1-dimensional"),
    "mixed dtypes": (lambda x: conv(x.astype(jnp.bfloat16), W.astype(jnp.bfloat16), preferred_element_type=jnp.float32),
                     "bfloat16, bfloat16 -> float32"),
    "dilated twice": (lambda x: lax.conv_general_dilated(
        x, W, (1, 1), ((1, 1), (1, 1)), (2, 1), (1, 2), LAYOUT), "no gradient of a plain"),
    "grouped, by the weights": (lambda x: jax.grad(lambda w: (grouped(x, w) ** 2).sum())(GROUPED), "grouped"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
def test_what_is_left_is_reported_and_right(case):
    f, words = LEFT[case]
    lines = conv_report(f)(X)
    assert any(line.plan is None and words in line.reason for line in lines), lines
    close(fast_convs(f, form="rows")(X), f(X))


# ------------------------------------------ gradients in the function, transposed convolutions: every layout jax writes

NCHW = ("NCHW", "OIHW", "NCHW")
WITH_NATIVE = [form for form in ("rows", "native") if form == "rows" or not native.why_not()]


def strided(numbers):
    def f(x, w):
        return lax.conv_general_dilated(x, w, (2, 1), ((1, 1), (2, 1)), dimension_numbers=numbers)

    return f


def turned(x, w):
    return x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1)


DERIVED = {
    "by both, NHWC": lambda: (jax.grad(lambda x, w: (strided(LAYOUT)(x, w) ** 2).sum(), (0, 1)), (X, W)),
    "by both, NCHW": lambda: (jax.grad(lambda x, w: (strided(NCHW)(x, w) ** 2).sum(), (0, 1)), turned(X, W)),
    "by both, stride 1": lambda: (jax.grad(lambda x, w: (conv(x, w) ** 2).sum(), (0, 1)), (X, W)),
    "second order": lambda: (jax.grad(lambda x: (jax.grad(
        lambda w: (strided(LAYOUT)(x, w) ** 3).sum())(W) ** 2).sum()), (X,)),
    "transposed": lambda: (lambda x: lax.conv_transpose(x, W, (2, 3), "SAME", dimension_numbers=LAYOUT), (X,)),
    "transposed, by both": lambda: (jax.grad(lambda x, w: (lax.conv_transpose(
        x, w, (2, 2), "VALID", dimension_numbers=LAYOUT) ** 2).sum(), (0, 1)), (X, W)),
}  # fmt: skip


@pytest.mark.parametrize("form", WITH_NATIVE)
@pytest.mark.parametrize("case", DERIVED)
def test_gradients_and_transposed_convolutions_are_recognised(case, form):
    f, args = DERIVED[case]()
    assert all(line.reason == "" for line in conv_report(f)(*args)), conv_report(f)(*args)
    left = int(case == "second order" and form != "native")  # a dilated one
    assert convolutions(f, *args) > left and convolutions(fast_convs(f, form=form), *args) == left
    close(jax.jit(fast_convs(f, form=form))(*args), jax.jit(f)(*args))


@pytest.mark.parametrize("form", WITH_NATIVE)
def test_cropped_by_a_negative_padding(form):
    """Against a cropped input: XLA's own, compiled for CPU, reads past its operand here."""

    def cropped(x):
        return lax.conv_general_dilated(x, W, (2, 1), ((-1, 1), (0, -2)), dimension_numbers=LAYOUT)

    def plain(x):
        return lax.conv_general_dilated(x[:, 1:, :-2], W, (2, 1), ((0, 1), (0, 0)), dimension_numbers=LAYOUT)

    for way in (lambda f: f, lambda f: jax.grad(lambda x: (f(x) ** 2).sum())):
        close(jax.jit(fast_convs(way(fast_convs(cropped, form=form)), form=form))(X), jax.jit(way(plain))(X))


def test_roles_in_the_report():
    roles = [line.role for line in conv_report(DERIVED["by both, NHWC"]()[0])(X, W)]
    assert sorted(roles) == ["input", "result", "weights"]


@pytest.mark.skipif(bool(native.why_not()), reason="needs the extra native")
@pytest.mark.parametrize("kind", ["grouped", "depthwise", "dilated", "dilated and strided"])
def test_dilated_and_grouped_by_native(kind, monkeypatch):
    options = {
        "grouped": (GROUPED, {"feature_group_count": 2}),
        "depthwise": (jax.random.normal(jax.random.key(4), (3, 3, 1, 4)), {"feature_group_count": 4}),
        "dilated": (W, {"rhs_dilation": (2, 1)}),
        "dilated and strided": (W, {"rhs_dilation": (2, 2), "window_strides": (2, 1)}),
    }
    w, kwargs = options[kind]
    kwargs = {"window_strides": (1, 1), "padding": ((2, 1), (2, 3)), "dimension_numbers": LAYOUT, **kwargs}
    w = w if kind != "dilated and strided" else w[:, :, :, :5]

    def f(x, w):
        return lax.conv_general_dilated(x, w, **kwargs)

    def everything(g):
        return jax.jit(lambda x, w: (g(x, w), *jax.grad(lambda *args: (g(*args) ** 2).sum(), (0, 1))(x, w)))(X, w)

    assert convolutions(fast_convs(f), X, w) == 0
    close(everything(fast_convs(f)), everything(f))
    monkeypatch.setattr(native, "usable", lambda dtype: False)
    assert conv_report(f)(X, w)[0].plan is None and convolutions(fast_convs(f), X, w) == 1


def test_a_convolution_with_a_derivative_of_its_own_is_left():
    f = jax.custom_jvp(lambda x: conv(x, W))
    f.defjvp(lambda x, t: (f(*x), conv(t[0], W)))
    assert conv_report(f)(X)[0].reason == "inside custom_jvp_call"
    close(fast_convs(f, form="rows")(X), f(X))


def test_the_report_reads_shapes_as_nhwc_and_finds_every_convolution():
    f, params = model("equinox")
    (line,) = conv_report(jax.jit(f))(params, OBS)
    assert (line.x, line.w, line.reason) == ((1, 8, 8, 2), (3, 3, 2, 4), "")
    assert set(line.plan) == {"shifts"}
    scanned = conv_report(lambda xs: lax.scan(lambda c, x: (c, conv(x, W).sum()), 0.0, xs))(X[None])
    assert [line.x for line in scanned] == [X.shape]


def test_unknown_form():
    with pytest.raises(ValueError, match=rf"'winograd'; there are {', '.join(FORMS)}, native"):
        fast_convs(conv, form="winograd")


def test_sharded_frames():
    mesh = Mesh(np.array(jax.devices()[:2]), ("b",))
    frames, whole = PartitionSpec("b"), PartitionSpec()
    x, w = jnp.concatenate([X] * 4), jax.random.normal(jax.random.key(2), (3, 3, 4, 256))  # large enough for a mixed plan

    def slopes(x, w):
        return jax.grad(lambda x: (fast_convs(conv)(x, w) ** 2).sum())(x)

    spread = functools.partial(jax.shard_map, mesh=mesh, in_specs=(frames, whole), out_specs=frames)
    close(jax.jit(spread(slopes))(x, w), jax.grad(lambda x: (conv(x, w) ** 2).sum())(x))
    learn = functools.partial(jax.shard_map, mesh=mesh, in_specs=(frames, whole), out_specs=whole)
    total = learn(lambda x, w: jax.grad(lambda w: (fast_convs(conv)(x, w) ** 2).sum())(w))(x, w)  # summed over devices
    close(total, jax.grad(lambda w: (conv(x, w) ** 2).sum())(w))
    placed = jax.device_put(x, jax.NamedSharding(mesh, frames))
    close(jax.jit(slopes)(placed, w), jax.grad(lambda x: (conv(x, w) ** 2).sum())(x))
