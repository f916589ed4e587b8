"""Names: read, edited, refused where they cannot be."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from rljax_viz.transforms import activations, guided, intervene, tag, tags
from tests.transforms.tiny import OBS, Linen, close, model

X = jnp.arange(3.0)


def rnn(w, xs):
    """xs[T 3] -> (last [3], rectified [T 3]); tags `cell`."""

    def step(c, x):
        c = tag(jnp.tanh(w @ c + x), "cell")
        return c, jax.nn.relu(c)

    return jax.lax.scan(step, jnp.zeros(3), xs)


W, XS = jax.random.normal(jax.random.key(0), (3, 3)), jax.random.normal(jax.random.key(1), (7, 3))


def branches(i, x):
    return jax.lax.cond(i > 0, lambda x: tag(jnp.sin(x), "a"), lambda x: tag(jnp.cos(x), "a"), x)


def one_branch(i, x):
    return jax.lax.cond(i > 0, lambda x: tag(jnp.sin(x), "a"), jnp.cos, x)


def loop(x):
    return jax.lax.while_loop(lambda x: (x < 9).all(), lambda x: tag(x * 2, "a"), x)


@jax.custom_jvp
def fenced(x):
    return tag(jnp.sin(x), "inside")


fenced.defjvp(lambda primals, tangents: (fenced(*primals), tangents[0]))


def test_activations_are_those_of_linen():
    net, params = Linen(), model("linen")[1]
    out, hidden = jax.jit(activations(net.apply))(params, OBS)
    reference, state = net.apply(params, OBS, capture_intermediates=True)
    close(hidden["conv1"], nn.relu(state["intermediates"]["Conv_0"]["__call__"][0]))
    close(hidden["fc"], nn.relu(state["intermediates"]["Dense_0"]["__call__"][0]))
    close(out, reference)


def test_tags_lists_names_and_shapes_in_order_and_runs_nothing():
    f, params = model("plain")
    listed = tags(f)(jax.eval_shape(lambda: params), jax.eval_shape(lambda: OBS))
    assert list(listed) == ["conv1", "fc"]
    assert (listed["conv1"].shape, listed["fc"].shape) == ((6, 6, 4), (6,))


def test_tags_have_the_shapes_in_which_they_are_read():
    assert tags(rnn)(W, XS)["cell"].shape == (7, 3) == activations(rnn)(W, XS)[1]["cell"].shape
    assert tags(branches)(1, X)["a"].shape == (3,)


def test_only_the_names_asked_for():
    f, params = model("plain")
    assert list(activations(f, ["fc"])(params, OBS)[1]) == ["fc"]


def test_vmap_in_and_out_agree():
    f, params = model("linen")
    batch = jnp.stack([OBS, OBS / 2])
    outside = jax.vmap(activations(f, ["conv1"]), (None, 0))(params, batch)
    inside = activations(jax.vmap(f, (None, 0)), ["conv1"])(params, batch)
    close(outside[1], inside[1])


def test_an_inner_vmap_puts_its_axis_in_front():
    def conv(w, x):
        layout = ("NHWC", "HWIO", "NHWC")
        return tag(jax.lax.conv_general_dilated(x[None], w, (1, 1), "SAME", dimension_numbers=layout), "c")

    # jax leaves the axis of several kernels among the channels
    _, hidden = activations(jax.vmap(conv, (0, None)))(jnp.ones((7, 3, 3, 2, 4)), jnp.ones((6, 6, 2)))
    assert hidden["c"].shape == (7, 1, 6, 6, 4)


def test_scan_stacks_what_is_read_and_edits_one_step():
    (last, _), hidden = jax.jit(activations(rnn))(W, XS)
    assert hidden["cell"].shape == (7, 3)
    close(hidden["cell"][-1], last)
    seen = []
    out = intervene(rnn, {"cell": lambda h: seen.append(h.shape) or h * 0})(W, XS)
    assert set(seen) == {(3,)}
    close(out, (jnp.zeros(3), jnp.zeros((7, 3))))


def test_gradients_pass_through_an_edit():
    f, params = model("plain")
    pushed = jax.grad(lambda d: intervene(f, {"fc": lambda h: h + d})(params, OBS).value)(jnp.zeros(6))
    close(pushed, params["value"])  # the layer above is linear


def test_cond_reads_the_branch_that_ran_and_edits_both():
    out, hidden = jax.jit(activations(branches))(1, X)
    close(hidden["a"], jnp.sin(X))
    doubled = jax.vmap(intervene(branches, {"a": lambda h: h * 2}), (0, None))(jnp.array([0, 1]), X)
    close(doubled, 2 * jnp.stack([jnp.cos(X), jnp.sin(X)]))
    close(out, jnp.sin(X))


def test_branches_that_differ_can_be_edited_not_read():
    with pytest.raises(ValueError, match="branches of a cond hold different tags"):
        activations(one_branch)(1, X)
    close(intervene(one_branch, {"a": lambda h: h * 0})(1, X), jnp.zeros(3))


def test_while_can_be_edited_not_read():
    with pytest.raises(ValueError, match="while_loop, which has no fixed number"):
        activations(loop)(jnp.ones(2))
    close(intervene(loop, {"a": lambda h: h + 20})(jnp.ones(2)), jnp.full(2, 22.0))


def test_missing_name():
    f, params = model("plain")
    for transform in (activations(f, ["conv9"]), intervene(f, {"conv9": lambda h: h})):
        with pytest.raises(KeyError, match=r"no tag \['conv9'\].*conv1.*fc"):
            transform(params, OBS)


def test_the_same_name_twice():
    def twice(x):
        return tag(x, "a") + tag(x * 2, "a")

    again = jax.jit(lambda x: tag(x + 1, "a"))
    for f in (twice, lambda x: again(again(x))):
        for transform in (activations(f), activations(f, ["a"]), intervene(f, {"a": lambda h: h}), tags(f)):
            with pytest.raises(ValueError, match=r"met more than once.*tag\(x, 'actor/a'\)"):
                transform(X)


def test_a_name_that_stands_twice_does_not_spoil_the_others():
    def f(x):
        return tag(tag(tag(x, "a") * 2, "a") * 3, "b")

    close(activations(f, ["b"])(X)[1]["b"], 6 * X)


def test_inside_custom_jvp():
    for transform in (activations(fenced), intervene(fenced, {"inside": lambda h: h})):
        with pytest.raises(NotImplementedError, match=r"inside `custom_jvp_call`.*tag the function's result"):
            transform(1.0)


def test_shard_map_takes_the_transform_inside():
    mesh = Mesh(np.array(jax.devices()[:2]), ("b",))
    shard = functools.partial(jax.shard_map, mesh=mesh, in_specs=PartitionSpec("b"), out_specs=PartitionSpec("b"))

    def f(x):
        return tag(jnp.sin(x), "s")

    with pytest.raises(NotImplementedError, match=r"shard_map\(activations\(f\), ...\)"):
        activations(shard(f))(jnp.arange(4.0))
    out, hidden = shard(activations(f))(jnp.arange(4.0))
    close(hidden["s"], out)
    close(out, jnp.sin(jnp.arange(4.0)))


def test_edits_keep_shape_and_dtype():
    f, params = model("plain")
    with pytest.raises(ValueError, match=r"edit of 'fc' returned float32\[3\], expected float32\[6\]"):
        intervene(f, {"fc": lambda h: h[:3]})(params, OBS)
    with pytest.raises(ValueError, match=r"bfloat16\[6\], expected float32\[6\].*astype"):
        intervene(f, {"fc": lambda h: h.astype(jnp.bfloat16)})(params, OBS)
    with pytest.raises(ValueError, match="zeros_like"):
        intervene(f, {"fc": lambda h: 0.0})(params, OBS)


def test_names_and_values_that_cannot_be():
    with pytest.raises(TypeError, match="non-empty string, got 3"):
        tag(X, 3)
    with pytest.raises(TypeError, match="one array, got tuple"):
        tag((X, X), "pair")
    with pytest.raises(TypeError, match=r"write \['fc'\]"):
        activations(lambda x: tag(x, "fc"), "fc")(X)


def test_an_outer_transform_sees_the_edited_value():
    f, params = model("plain")
    _, hidden = activations(guided(intervene(f, {"conv1": lambda h: h * 0})))(params, OBS)
    assert float(jnp.abs(hidden["conv1"]).max()) == 0
    twice = intervene(intervene(lambda x: tag(x, "a"), {"a": lambda h: h + 1}), {"a": lambda h: h * 10})
    assert twice(1.0) == 20


def test_a_gradient_names_its_forward_pass_once():
    g = jax.grad(lambda x: tag(jnp.sin(tag(x**2, "square")), "sine"))
    close(jax.jit(activations(g))(2.0)[1]["square"], jnp.array(4.0))
    with pytest.raises(ValueError, match="backward pass repeats tags"):
        activations(jax.grad(jax.checkpoint(lambda x: jnp.sin(tag(jnp.sin(x), "a")))))(2.0)


def test_what_is_not_looked_for_is_bound_unchanged():
    @jax.custom_vjp
    def straight_through(x):
        return jnp.round(x)

    straight_through.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (g,))

    def f(p, x, key):
        x = tag(jax.nn.relu(p @ x), "h")
        x = straight_through(x * 3) + jax.nn.gelu(x) + jax.nn.softplus(x)
        x = x + jax.lax.map(jnp.sin, x) + jax.random.normal(key, x.shape)
        x = jax.lax.fori_loop(0, 3, lambda i, x: x * 1.1, x)
        x = jnp.linalg.qr(x.reshape(2, 2))[1].reshape(-1)
        return jax.nn.logsumexp(x + jax.lax.cumsum(x) + jnp.sort(x))

    args = (jax.random.normal(jax.random.key(0), (4, 4)), jnp.arange(4.0) + 1.5, jax.random.key(2))
    want = jax.grad(f)(*args)
    close(jax.jit(jax.grad(lambda *a: activations(f)(*a)[0]))(*args), want)
    close(jax.jit(jax.grad(intervene(f, {"h": lambda h: h})))(*args), want)


def test_keywords_trees_and_keys_pass_through():
    def f(p, obs, *, scale, key):
        return {"q": tag(p * obs["x"] * scale, "q"), "noise": jax.random.normal(key)}

    args = dict(scale=3.0, key=jax.random.key(0))
    out, hidden = activations(f)(2.0, {"x": jnp.ones(3)}, **args)
    close(out, f(2.0, {"x": jnp.ones(3)}, **args))
    close(hidden["q"], jnp.full(3, 6.0))
