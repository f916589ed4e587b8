"""The suite runs strict: no silent broadcasting, no silent rounding, no warning unread, two devices."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")  # TF32 on a GPU would drown every oracle

# Rooms whose programs are ours alone: optax and gymnax fail under strict dtype promotion, so it cannot be global.
STRICT_DTYPES = {"transforms", "images", "explain", "networks"}


@pytest.fixture(autouse=True)
def strict_dtypes(request: pytest.FixtureRequest):
    """No silent dtype promotion in tests of STRICT_DTYPES; nothing elsewhere."""
    room = request.path.relative_to(request.config.rootpath / "tests").parts[0]
    if room not in STRICT_DTYPES:
        yield
        return
    with jax.numpy_dtype_promotion("strict"):
        yield
