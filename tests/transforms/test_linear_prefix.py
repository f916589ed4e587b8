"""The affine part of a function: how far it goes, that it is affine, and that the rest completes it."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from rljax_viz.transforms import fast_convs, guided, intervene, linear_prefix, tag
from tests.transforms.tiny import LIBRARIES, OBS, close, model

X, Y = jax.random.normal(jax.random.key(0), (4, 6)), jax.random.normal(jax.random.key(1), (4, 6))
W = jax.random.normal(jax.random.key(2), (6, 5))


def check(f, *rest, x=X, y=Y, a=0.3, params=W):
    """The law (to the rounding of z's dtype), and that the halves make the whole; -> the shapes of z."""

    def prefix(x):
        return linear_prefix(f)(params, x, *rest)[0]

    z, tail = linear_prefix(f)(params, x, *rest)
    close(tail(z), f(params, x, *rest))
    mixed = jax.tree.map(lambda u, v: a * u + (1 - a) * v, prefix(x), prefix(y))
    close(prefix(a * x + (1 - a) * y), mixed, max([16 * float(jnp.finfo(v.dtype).eps) for v in z], default=0))
    return [v.shape for v in z]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.checkpoint, guided, lambda f: fast_convs(f, form="rows")])
def test_a_network_up_to_its_first_relu(library, wrap):
    f, params = model(library)
    (shape,) = check(wrap(f), x=OBS, y=1 - OBS, params=params)
    assert sorted(shape) in ([4, 6, 6], [1, 4, 6, 6])


def test_edits_are_part_of_the_function():
    f, params = model("plain")
    assert check(intervene(f, {"conv1": lambda h: 2 * h}), x=OBS, y=OBS / 2, params=params) == [(6, 6, 4)]


AFFINE = {
    "add": lambda w, x: x + w[0, 0],
    "sub": lambda w, x: w[0, 0] - x,
    "mul": lambda w, x: x * w[:4, 0][:, None],
    "div": lambda w, x: x / w[0, 0],
    "neg": lambda w, x: -x,
    "matmul": lambda w, x: x @ w,
    "matmul on the right": lambda w, x: w.T @ x.T,
    "reshape": lambda w, x: x.reshape(2, 12),
    "transpose": lambda w, x: x.T,
    "squeeze, expand": lambda w, x: x[None].transpose(1, 0, 2)[:, 0],
    "broadcast": lambda w, x: jnp.broadcast_to(x.sum(0)[None], (3, 6)),
    "slice": lambda w, x: x[1:3, ::2],
    "pad": lambda w, x: jnp.pad(x, 1, constant_values=2.0),
    "rev": lambda w, x: jnp.flip(x, 0),
    "roll": lambda w, x: jnp.roll(x, 1, 1),
    "concatenate": lambda w, x: jnp.concatenate([x, w[:4], 2 * x], 1),
    "split": lambda w, x: sum(jnp.split(x, 2, 0)),
    "dynamic_slice": lambda w, x: lax.dynamic_slice(x, (jnp.argmax(w[:2, 0]), 0), (2, 3)),
    "dynamic_update_slice": lambda w, x: lax.dynamic_update_slice(w[:4], x[:2, :2], (1, jnp.argmax(w[0, :2]))),
    "gather": lambda w, x: x[jnp.array([0, 2, 2])],
    "scatter-add": lambda w, x: jnp.zeros((4, 6)).at[jnp.array([1, 3])].add(x[:2]),
    "mean": lambda w, x: x.mean(0),
    "cumsum": lambda w, x: jnp.cumsum(x, 1),
    "average pool": lambda w, x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (2, 2), "VALID") / 4,
    "select": lambda w, x: jnp.where(w[:4, :1] > 0, x, 2 * x),
    "cast": lambda w, x: (x * 2).astype(jnp.float16),
    "tag": lambda w, x: tag(x * 2, "h"),
    "copy": lambda w, x: jnp.copy(x) * 2,
    "resize": lambda w, x: jax.image.resize(x, (8, 12), "bilinear"),
    "convolution": lambda w, x: lax.conv(x[None, None], w[None, None, :2, :2], (1, 1), "SAME")[0, 0],
}


@pytest.mark.parametrize("name", AFFINE)
def test_affine_throughout_leaves_a_trivial_tail(name):
    shapes = check(AFFINE[name])
    z, tail = linear_prefix(AFFINE[name])(W, X)
    assert sum(v.size for v in z) <= max(X.size, jax.eval_shape(AFFINE[name], W, X).size), shapes
    left = {e.primitive.name for e in jax.make_jaxpr(tail)(z).jaxpr.eqns}
    assert not left & {"dot_general", "conv_general_dilated", "reduce_sum", "cumsum", "reduce_window_sum", "gather"}


NOT_AFFINE = {
    "relu": lambda w, x: jax.nn.relu(x),
    "maximum": lambda w, x: jnp.maximum(x, 0),
    "square": lambda w, x: x * x,
    "divisor": lambda w, x: w[0, 0] / x,
    "matmul with itself": lambda w, x: x @ x.T,
    "select by itself": lambda w, x: jnp.where(x > 0, x, 2 * x),
    "round": lambda w, x: jnp.round(x),
    "cast to integer": lambda w, x: x.astype(jnp.int32).astype(jnp.float32),
    "index from itself": lambda w, x: w[jnp.argmax(x, 0)],
    "max pool": lambda w, x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (2, 2), "VALID"),
    "stop_gradient": lambda w, x: lax.stop_gradient(x),
    "abs": lambda w, x: jnp.abs(x),
    "scan": lambda w, x: lax.scan(lambda c, r: (c, r * 2), 0.0, x)[1],
    "cond": lambda w, x: lax.cond(w[0, 0] > 0, lambda x: x, lambda x: 2 * x, x),
}


@pytest.mark.parametrize("name", NOT_AFFINE)
def test_nothing_affine_leaves_the_observation(name):
    z, tail = linear_prefix(NOT_AFFINE[name])(W, X)
    assert len(z) == 1 and z[0] is not None
    close(z[0], X)
    close(tail(z), NOT_AFFINE[name](W, X))


def test_custom_derivatives_are_kept_in_the_tail():
    @jax.custom_vjp
    def twice(x):
        return 2 * x

    twice.defvjp(lambda x: (2 * x, None), lambda _, g: (7 * g,))

    def whole(x):
        z, tail = linear_prefix(lambda w, x: twice(x @ w))(W, x)
        return tail(z).sum()

    close(jax.grad(whole)(X), jax.grad(lambda x: twice(x @ W).sum())(X))


def test_the_frontier_is_small():
    def spread(w, x):
        return jnp.tanh(jnp.broadcast_to(x[..., None], (4, 6, 50)) + 1.0)

    assert check(spread) == [(4, 6, 1)]

    def two_views(w, x):
        h = x @ w
        return jnp.tanh(h), jnp.tanh(h.T), jnp.tanh(jnp.pad(h, 1)), jnp.tanh(h.reshape(-1) - 1)

    assert check(two_views) == [(4, 5)]

    def dueling(w, x):
        return jnp.tanh(x @ w), jnp.tanh(x.mean())

    assert sorted(check(dueling)) == [(), (4, 5)]


def test_heavy_work_is_never_left_to_the_tail_to_make_z_smaller():
    def widen(w, x):
        return jnp.tanh(x @ jnp.tile(w, (1, 20)))

    assert check(widen) == [(4, 100)]


def test_two_paths_from_the_observation():
    def skip(w, x):
        return jnp.tanh(x) + jnp.tanh(x @ w)[:, :1]

    assert check(skip) == [(4, 6), (4, 5)]


def test_trees_rest_and_captured_work():
    def f(params, obs, action, carry):
        gate = jnp.exp(params["w"]).sum() + carry  # hangs on no observation
        return jnp.tanh((obs["a"] + 2 * obs["b"]) * gate)[action]

    args = ({"w": W}, {"a": X, "b": Y}, 1, 0.5)
    z, tail = linear_prefix(f)(*args)
    assert [v.shape for v in z] == [(4, 6)]
    assert "exp" not in str(jax.make_jaxpr(tail)(z))
    close(tail(z), f(*args))


def test_constant_in_the_observation():
    z, tail = linear_prefix(lambda w, x: jnp.tanh(w))(W, X)
    assert z == ()
    close(tail(z), jnp.tanh(W))


def test_integer_observations_move_as_float32():
    def f(w, x):
        return jnp.tanh(x.astype(jnp.float32) / 255 @ w)

    x = jnp.arange(24, dtype=jnp.uint8).reshape(4, 6)
    z, tail = linear_prefix(f)(W, x)
    assert [(v.shape, v.dtype) for v in z] == [((4, 5), jnp.float32)]
    close(tail(z), f(W, x))


def test_under_jit_vmap_and_grad():
    f, params = model("linen")

    def whole(params, obs):
        z, tail = linear_prefix(f)(params, obs)
        return tail(z).value

    batch = jnp.stack([OBS, OBS / 2])
    for argnum in (0, 1):
        got = jax.jit(jax.vmap(jax.grad(whole, argnum), (None, 0)))(params, batch)
        close(got, jax.vmap(jax.grad(lambda p, o: f(p, o).value, argnum), (None, 0))(params, batch))


def test_the_tail_takes_z_and_nothing_else():
    z, tail = linear_prefix(lambda w, x: jnp.tanh(x @ w))(W, X)
    with pytest.raises(ValueError, match=r"expects z = \['float32\[4, 5\]'\].*got \['float32\[4, 6\]'\]"):
        tail((X,))
    with pytest.raises(ValueError, match="got \\[\\]"):
        tail(())
    close(functools.partial(tail)(z), jnp.tanh(X @ W))
