"""first version"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rljax_viz.transforms._interpret import Eqn, Rule, run, stage


def _plain(eqn: Eqn) -> bool:
    if eqn.primitive.name != "conv_general_dilated":
        return False
    p, dn = eqn.params, eqn.params["dimension_numbers"]
    return (
        p["feature_group_count"] == 1
        and p["batch_group_count"] == 1
        and set(p["lhs_dilation"]) == {1}
        and set(p["rhs_dilation"]) == {1}
        and dn.lhs_spec == (0, 3, 1, 2)
        and dn.rhs_spec == (3, 2, 0, 1)
    )


def _as_matmul(eqn, inputs):
    x, w = inputs
    sh, sw = eqn.params["window_strides"]
    pad = eqn.params["padding"]
    if any(sum(p) for p in pad):
        x = jnp.pad(x, ((0, 0), *pad, (0, 0)))
    kh, kw, ci, co = w.shape
    n, height, width, c = x.shape
    oh, ow = (height - kh) // sh + 1, (width - kw) // sw + 1
    if kh % sh == 0 and kw % sw == 0 and (sh, sw) != (1, 1):
        bh, bw = oh + kh // sh - 1, ow + kw // sw - 1
        x = x[:, : bh * sh, : bw * sw].reshape(n, bh, sh, bw, sw, c)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(n, bh, bw, sh * sw * c)
        w = w.reshape(kh // sh, sh, kw // sw, sw, ci, co).transpose(0, 2, 1, 3, 4, 5)
        w = w.reshape(kh // sh, kw // sw, -1, co)
        kh, kw, sh, sw = kh // sh, kw // sw, 1, 1
    shifts = [
        x[:, i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw] for i in range(kh) for j in range(kw)
    ]
    return [jnp.concatenate(shifts, -1) @ w.reshape(-1, co)]


def fast_convs(f: Callable) -> Callable:
    """first version"""

    def fast(*args, **kwargs):
        if jax.default_backend() != "cpu":
            return f(*args, **kwargs)
        return run(stage(f, args, kwargs), Rule(_plain, _as_matmul))[0]

    return fast
