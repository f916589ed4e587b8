"""Any function with its convolutions in other forms: equal, complete, and honest about what is left."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from rljax_viz.transforms import conv_report, fast_convs, guided
from rljax_viz.transforms.conv_forms import FORMS
from tests.transforms.tiny import LIBRARIES, OBS, close, model

X, W = jax.random.normal(jax.random.key(0), (2, 9, 8, 4)), jax.random.normal(jax.random.key(1), (3, 3, 4, 6))
LAYOUT = ("NHWC", "HWIO", "NHWC")


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
    "grouped": (lambda x: lax.conv_general_dilated(
        x, jnp.ones((3, 3, 1, 4)), (1, 1), "SAME", dimension_numbers=LAYOUT, feature_group_count=4), "grouped"),
    "dilated": (lambda x: conv(x, W, rhs_dilation=(2, 2)), "dilated"),
    "transposed": (lambda x: lax.conv_transpose(x, W, (2, 2), "SAME", dimension_numbers=LAYOUT), "dilated"),
    "one-dimensional": (lambda x: lax.conv(x[:, 0].swapaxes(1, 2), jnp.ones((5, 4, 3)), (1,), "SAME"), "1-dimensional"),
    "a gradient": (jax.grad(lambda x: (conv(x, W) ** 2).sum()), "before grad"),
    "mixed dtypes": (lambda x: conv(x.astype(jnp.bfloat16), W.astype(jnp.bfloat16), preferred_element_type=jnp.float32),
                     "bfloat16, bfloat16 -> float32"),
    "cropped": (lambda x: lax.conv_general_dilated(x, W, (1, 1), ((-1, 0), (0, 0)), dimension_numbers=LAYOUT), "cropped"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
def test_what_is_left_is_reported_and_right(case):
    f, words = LEFT[case]
    lines = conv_report(f)(X)
    assert any(line.plan is None and words in line.reason for line in lines), lines
    close(fast_convs(f, form="rows")(X), f(X))


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
    with pytest.raises(ValueError, match=rf"'winograd'; there are {', '.join(FORMS)}"):
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
