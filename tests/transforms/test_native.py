"""oneDNN behind jax.ffi: right in a whole network, bounded, and absent without harm."""

import os
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.networks import make
from rljax_viz.transforms import conv_report, fast_convs, native
from rljax_viz.transforms.conv_forms import Conv
from rljax_viz.transforms.conv_plan import NATIVE

READY = not native.why_not()
needs_native = pytest.mark.skipif(not READY, reason="needs the extra native")
needs_amx = pytest.mark.skipif(not (READY and native.has_amx()), reason="needs AMX")
OBS = jax.random.uniform(jax.random.key(0), (3, 84, 84, 4)) * 255


def test_ready_where_ci_runs():
    if os.environ.get("CI") and sys.platform == "linux" and os.uname().machine == "x86_64":
        assert READY, native.why_not()


@needs_native
@pytest.mark.parametrize(("name", "obs", "close"), [("nature", OBS, 1e-5), ("coinrun", OBS[:, :64, :64, :3], 5e-4)])
def test_a_network_that_learns_in_a_scan_and_is_explained(name, obs, close):  # L2 pooling divides by what is near zero
    net = make(name, 4)
    params = net.init(jax.random.key(1), obs[0])

    def everything(f):
        def step(params, obs):
            slopes = jax.grad(lambda p: (jax.vmap(f, (None, 0))(p, obs).value ** 2).sum())(params)
            return jax.tree.map(lambda p, s: p - 1e-3 * s, params, slopes), None

        learned = jax.lax.scan(step, params, jnp.stack([obs, obs / 2]))[0]
        return learned, jax.vmap(jax.grad(lambda o: f(learned, o).value))(obs)

    got, want = (jax.jit(lambda f=f: everything(f))() for f in (fast_convs(net.apply), net.apply))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert np.abs(a - b).max() <= close * np.abs(b).max() + 1e-12


@needs_native
def test_every_large_layer_takes_it():
    net = make("nature", 4)
    report = conv_report(net.apply)(net.init(jax.random.key(1), OBS[0]), OBS[0])
    assert [line.plan for line in report] == [NATIVE] * 3


@needs_amx
def test_bfloat16_convolutions_and_the_fully_connected_layer():
    net = make("nature", 4, dtype="bfloat16")
    params = net.init(jax.random.key(1), OBS[0])
    maps = [
        np.asarray(jax.jit(jax.vmap(jax.grad(lambda p, o, f=f: f(p, o).value, 1), (None, 0)))(params, OBS)).ravel()
        for f in (fast_convs(net.apply), net.apply)
    ]
    text = jax.jit(fast_convs(net.apply)).lower(params, OBS[0]).as_text()
    assert text.count("rljax_conv") == 3 and text.count("rljax_dot") == 1
    a, b = maps
    assert a @ b > 0.999 * np.linalg.norm(a) * np.linalg.norm(b)


@needs_native
@pytest.mark.parametrize("role", ["result", "input", "weights"])
def test_products(role):
    dtype = jnp.bfloat16 if native.has_amx() else jnp.float32
    x, w, g = (jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(6, 5), (5, 3), (6, 3)]))
    x, w, g = (v.astype(dtype) for v in (x, w, g))
    a, b = {"result": (x, w), "input": (g, w), "weights": (x, g)}[role]
    want = {"result": x @ w, "input": g @ w.T, "weights": x.T @ g}[role]
    second = b[:, None, None] if role == "weights" else b[None, None]
    got = native.convolve(a[:, None, None], second, role=role, size=(1, 1), kernel=(1, 1), conv=Conv())
    got = np.asarray(got, np.float32).reshape(want.shape)
    np.testing.assert_allclose(got, np.asarray(want, np.float32), atol=0.1, rtol=0.02)


@needs_native
def test_the_store_of_primitives_is_bounded():
    x, w = jnp.ones((1, 12, 12, 8)), jnp.ones((3, 3, 8, 8))

    @jax.jit
    def many(x):
        sizes = [(n, h) for n in range(1, 27) for h in range(4, 24)]
        calls = []
        for n, h in sizes:
            options = {"size": (h, 12), "kernel": (3, 3), "conv": Conv()}
            frames = jnp.broadcast_to(x[:, :1], (n, h, 12, 8))
            calls.append(native.convolve(frames, w, role="result", **options).sum())
        return jnp.stack(calls), jnp.asarray([n * (h - 2) * 10 * 8 * 72 for n, h in sizes])

    got, want = many(x)
    np.testing.assert_allclose(got, want)
    assert native.primitives() == 512


THREADS = """
import threading
import jax, numpy as np
from rljax_viz.transforms import fast_convs
x = np.random.default_rng(0).normal(size=(1, 6, 6, 12)).astype(np.float32)
w = np.random.default_rng(1).normal(size=(2, 1, 6, 24)).astype(np.float32)
layout = ("NHWC", "HWIO", "NHWC")
f = lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=layout, feature_group_count=2)
fast, want = jax.jit(fast_convs(f, form="native")), np.asarray(f(x, w))
right = []
for _ in range(4):
    thread = threading.Thread(target=lambda: right.append(np.allclose(fast(x, w), want, atol=1e-5)))
    thread.start()
    thread.join()
assert right == [True] * 4, right
"""


@needs_native
def test_a_primitive_made_by_one_thread_runs_in_another():
    """oneDNN's own scratch memory belongs to the thread that made a primitive: with it this ended in a segmentation fault."""
    environ = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_CPU_ENABLE_ASYNC_DISPATCH": "0"}  # each call in its own thread
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------------------- without it

WITHOUT = """
import warnings
import jax, jax.numpy as jnp
from rljax_viz.networks import make
from rljax_viz.transforms import conv_report, fast_convs, native
{before}
net, obs = make("nature", 4), jnp.ones((84, 84, 4))
params = net.init(jax.random.key(0), obs)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for _ in range(2):
        out = fast_convs(net.apply)(params, obs)
    plans = {{line.plan.forward for line in conv_report(net.apply)(params, obs)}}
assert abs(out.value - net.apply(params, obs).value) < 1e-5
print(len(said), plans, *(str(w.message) for w in said))
"""


def without(before="", **environ):
    environ = {**os.environ, "JAX_PLATFORMS": "cpu", **environ}
    done = subprocess.run([sys.executable, "-c", WITHOUT.format(before=before)], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not (sys.platform == "linux" and os.uname().machine == "x86_64"), reason="where the extra exists")
def test_falls_back_with_one_warning_that_says_what_to_do(tmp_path):
    absent = "import importlib.metadata as m\ndef files(name): raise m.PackageNotFoundError(name)\nm.files = files"
    said = without(absent)
    assert said.startswith("1 {'lax'}") and "pip install 'rljax-viz[native]'" in said
    if READY:
        said = without("import shutil; shutil.which = lambda name: None", XDG_CACHE_HOME=str(tmp_path), CXX="")
        assert said.startswith("1 {'lax'}") and "apt-get install g++" in said
        said = without(XDG_CACHE_HOME=str(tmp_path), CXX="g++ -fno-such-option")
        assert said.startswith("1 {'lax'}") and "could not build" in said


def test_switched_off_says_nothing():
    assert without(RLJAX_VIZ_NATIVE="0").startswith("0 {'lax'}")


def test_asked_for_and_not_to_be_had(monkeypatch):
    monkeypatch.setenv("RLJAX_VIZ_NATIVE", "0")
    with pytest.raises(native.ShimError, match="RLJAX_VIZ_NATIVE"):
        fast_convs(lambda x: x, form="native")


def test_no_warning_on_a_gpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not native.usable(jnp.float32)


@pytest.mark.long
@needs_native
def test_the_shim_is_built_once_and_kept(tmp_path):
    build = "assert native.why_not() == '', native.why_not()"
    for _ in range(2):
        assert without(build, XDG_CACHE_HOME=str(tmp_path)).startswith("0 {'native'}")
    (built,) = (tmp_path / "rljax_viz" / "native").iterdir()
    before = built.stat().st_mtime_ns
    without(build, XDG_CACHE_HOME=str(tmp_path))
    assert built.stat().st_mtime_ns == before
    built.write_bytes(b"not a library")
    assert "cannot be loaded" in without(XDG_CACHE_HOME=str(tmp_path))
    assert without(build, XDG_CACHE_HOME=str(tmp_path)).startswith("0 {'native'}")
