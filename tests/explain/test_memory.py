"""Memory that does not grow: not with masks or windows or samples, and not over thousands of calls."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import pytest

from rljax_viz.explain import counterfactual, occlusion, perturbation, rise, rise_masks, sarfa, scores
from tests.explain import tiny

SHAPE = (40, 40, 3)


def f(params, obs, *rest):
    """The tiny network on a larger frame: its average over blocks."""
    small = jax.image.resize(obs.astype(jnp.float32), (12, 11, 3), "linear")
    return tiny.f(params, small, *rest)


def temporary(explain, *arguments):
    """Bytes that the compiled program needs besides its arguments and its result."""
    compiled = jax.jit(explain).lower(*arguments, tiny.params(), jnp.zeros(SHAPE, jnp.uint8)).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def grows(few, many, times):
    """Bytes for each further mask or window."""
    return (temporary(many) - temporary(few)) / times


FRAME = 40 * 40 * 4  # what keeping a map a spot would cost; up to 17 copies are alive at once, so few spots say nothing


@pytest.mark.parametrize("method", ["perturbation", "sarfa"])
def test_spots(method):
    make = {
        "perturbation": lambda stride: perturbation(f, lambda out: out.value, stride=stride),
        "sarfa": lambda stride: sarfa(f, lambda out: out.logits, stride=stride),
    }[method]
    # 10 and 20 in a row: 10 copies alive at once in both
    assert grows(make(4), make(2), 20 * 20 - 10 * 10) < 64 < FRAME  # a number or two a spot


def test_windows():
    def make(stride):
        return occlusion(f, scores.value, window=4, stride=stride)

    assert grows(make(2), make(1), 37 * 37 - 19 * 19) < 64 < FRAME


def test_masks():
    def make(count):
        masks = rise_masks(jax.random.key(0), count, 4, 0.5, SHAPE[:2])
        return rise(f, scores.value, masks)

    assert grows(make(64), make(512), 512 - 64) < 64 < FRAME  # the masks themselves are an argument of the program


def test_steps_of_a_descent():
    def make(steps):
        return counterfactual(f, lambda out: out.logits, steps=steps)

    assert grows(make(5), make(200), 195) < 16


@pytest.mark.slow
def test_ten_thousand_calls_leave_nothing_behind():
    code = """
        import resource
        import jax, jax.numpy as jnp, numpy as np
        from rljax_viz import explain
        from rljax_viz.explain import scores
        from rljax_viz.sweeps import map_frames
        from tests.explain import tiny

        frames = np.zeros((64, 12, 11, 3), np.uint8)
        params = tiny.params()
        methods = [explain.guided_backprop(tiny.f, scores.value), explain.grad_cam(tiny.f, scores.value, "conv1")]
        jitted = [jax.jit(method) for method in methods]

        def now():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * resource.getpagesize()

        def calls(count):
            for k in range(count):
                jitted[k % 2](params, frames[k % 64]).block_until_ready()
                if k % 100 == 0:
                    map_frames(methods[0], params, frames, None, tile=32)

        calls(2000)
        before = now()
        calls(10_000)
        print((now() - before) / 2**20)
    """
    run = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(run, capture_output=True, text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"}, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 8, f"{done.stdout} MiB more after 10,000 calls"
