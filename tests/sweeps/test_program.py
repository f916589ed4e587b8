"""The program of one tile: split over devices without a word between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.store import encode
from rljax_viz.sweeps.program import ONE, program_on

RAW = ((ONE, "float32"),)


def noisy(key, params, obs):
    return jnp.tanh(params @ obs) + jax.random.normal(key, (3,))


@pytest.mark.parametrize("count", [1, 2])
def test_each_device_takes_its_part(count):
    program, split, copies = program_on(noisy, True, tuple(jax.local_devices()[:count]), RAW)
    params, key = jax.device_put((jnp.ones((3, 4)), jax.random.key(0)), copies)
    numbers, obs = jax.device_put((np.arange(6, dtype=np.uint32), np.ones((6, 4), np.float32)), split)
    maps, finite = program(numbers, obs, (), params, key)
    assert [part.data.shape for part in maps[ONE]["map"].addressable_shards] == [(6 // count, 3)] * count
    assert finite[ONE].shape == (6,) and finite[ONE].all()
    text = program.lower(numbers, obs, (), params, key).compile().as_text()
    assert not [word for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute") if word in text]


def test_the_program_is_kept_for_the_same_explain_and_devices():
    devices = tuple(jax.local_devices())
    assert program_on(noisy, True, devices, RAW)[0] is program_on(noisy, True, devices, RAW)[0]
    assert program_on(noisy, True, devices, RAW)[0] is not program_on(noisy, True, devices[:1], RAW)[0]


@pytest.mark.parametrize("dtype", ["float16", "uint8", "float32"])
def test_maps_are_coded_on_the_device_as_in_the_store(dtype):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(8, 5, 6)) * 10.0 ** rng.integers(-12, 12, (8, 1, 1))).astype(np.float32)
    values[1], values[2, 0, 0], values[3, 1, 1] = 0, np.nan, np.inf
    program, split, copies = program_on(
        lambda params, obs: obs * params, False, tuple(jax.local_devices()[:1]), (("", dtype),)
    )
    numbers, obs = jax.device_put((np.arange(8, dtype=np.uint32), values), split)
    maps, finite = program(numbers, obs, (), *jax.device_put((np.float32(1), None), copies))
    want, good = encode(values, dtype)
    np.testing.assert_array_equal(finite[ONE], good)
    assert good.tolist() == [True, True, False, False, True, True, True, True] and set(maps[ONE]) == set(want)
    for part, array in want.items():
        assert maps[ONE][part].dtype == array.dtype
        np.testing.assert_allclose(
            maps[ONE][part].astype(np.float32), array.astype(np.float32), rtol=1e-6, atol=dtype == "uint8"
        )
