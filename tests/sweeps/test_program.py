"""The program of one tile: split over devices without a word between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.sweeps.program import ONE, program_on


def noisy(key, params, obs):
    return jnp.tanh(params @ obs) + jax.random.normal(key, (3,))


@pytest.mark.parametrize("count", [1, 2])
def test_each_device_takes_its_part(count):
    program, split, copies = program_on(noisy, True, tuple(jax.local_devices()[:count]))
    params, key = jax.device_put((jnp.ones((3, 4)), jax.random.key(0)), copies)
    numbers, obs = jax.device_put((np.arange(6, dtype=np.uint32), np.ones((6, 4), np.float32)), split)
    maps, finite = program(numbers, obs, (), params, key)
    assert [part.data.shape for part in maps[ONE].addressable_shards] == [(6 // count, 3)] * count
    assert finite[ONE].shape == (6,) and finite[ONE].all()
    text = program.lower(numbers, obs, (), params, key).compile().as_text()
    assert not [word for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute") if word in text]


def test_the_program_is_kept_for_the_same_explain_and_devices():
    devices = tuple(jax.local_devices())
    assert program_on(noisy, True, devices)[0] is program_on(noisy, True, devices)[0]
    assert program_on(noisy, True, devices)[0] is not program_on(noisy, True, devices[:1])[0]
