"""What a compiled program holds: nothing of the names, and for guided what one would have written by hand."""

import functools
import re

import jax
import jax.numpy as jnp

from rljax_viz.transforms import activations, at_layer, deconv, guided, intervene, linear_prefix
from tests.transforms.tiny import OBS, plain, plain_params

PARAMS = plain_params()
untagged = functools.partial(plain, name=lambda x, name: x)


def program(f, *args):
    """The optimised HLO without metadata, module name and the numbers of instructions (renamed in order of appearance)."""
    text = jax.jit(lambda *args: f(*args)).lower(*args).compile().as_text()  # equal names of parameters
    text = re.sub(r", metadata=\{[^}]*\}", "", text)
    text = re.sub(r"^HloModule [^,]*", "HloModule", text)
    text = re.sub(r"\n(FileNames|FunctionNames|FileLocations|StackFrames)\n(\d.*\n)*", "\n", text)
    text = re.sub(r", stack_frame_id=\d+", "", text)
    names: dict[str, str] = {}
    return re.sub(r"%[\w.\-]+", lambda m: names.setdefault(m.group(), f"%{len(names)}"), text)


def by_hand(rule):
    @jax.custom_vjp
    def relu(x):
        return jnp.maximum(x, 0)

    relu.defvjp(lambda x: (jnp.maximum(x, 0), x), lambda x, g: (rule(x, g),))
    return functools.partial(plain, relu=relu)


def slopes(f):
    return jax.vmap(jax.grad(lambda params, obs: f(params, obs).value, 1), (None, 0))


BATCH = jnp.stack([OBS, OBS / 2])


def test_the_comparison_can_fail():
    twice = functools.partial(plain, name=lambda x, name: 2 * x)
    assert program(twice, PARAMS, OBS) != program(untagged, PARAMS, OBS)


def test_tags_vanish_forward_and_backward():
    assert program(plain, PARAMS, OBS) == program(untagged, PARAMS, OBS)
    assert program(slopes(plain), PARAMS, BATCH) == program(slopes(untagged), PARAMS, BATCH)


def test_tags_vanish_inside_a_scan():
    def unrolled(f):
        return lambda params, xs: jax.lax.scan(lambda c, x: (c + f(params, x).value, None), 0.0, xs)[0]

    assert program(unrolled(plain), PARAMS, BATCH) == program(unrolled(untagged), PARAMS, BATCH)


def test_transforms_that_change_nothing_leave_nothing_behind():
    want = program(untagged, PARAMS, OBS)
    assert program(intervene(plain, {"fc": lambda h: h}), PARAMS, OBS) == want
    assert program(lambda p, o: activations(plain)(p, o)[0], PARAMS, OBS) == want

    def cut_and_joined(transform):
        def whole(params, obs):
            part, rest = transform(params, obs)
            return rest(part)

        return whole

    assert program(cut_and_joined(at_layer(plain, "conv1")), PARAMS, OBS) == want
    assert program(cut_and_joined(linear_prefix(plain)), PARAMS, OBS) == want


def test_guided_and_deconv_are_what_one_would_write_by_hand():
    rules = {guided: lambda x, g: jnp.where((x > 0) & (g > 0), g, 0), deconv: lambda x, g: jnp.where(g > 0, g, 0)}
    for transform, rule in rules.items():
        hand = program(slopes(by_hand(rule)), PARAMS, BATCH)
        assert program(slopes(transform(plain)), PARAMS, BATCH) == hand
        assert hand != program(slopes(plain), PARAMS, BATCH)


def test_what_is_not_asked_for_is_not_computed():
    def products(f, *args):
        return jax.jit(f).lower(*args).compile().cost_analysis()["flops"]

    whole = products(plain, PARAMS, OBS)
    h, _ = at_layer(plain, "fc")(PARAMS, OBS)
    tail = products(lambda params, h: intervene(plain, {"fc": lambda _: h})(params, 0 * OBS), PARAMS, h)
    layer = products(lambda p, o: activations(plain, ["conv1"])(p, o)[1], PARAMS, OBS)
    assert tail < whole / 10 and layer < whole
