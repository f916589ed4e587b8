"""A small actor-critic written out in numpy float64, forward and backward by hand: what the methods are held against.

obs[H W C] / 255 -> conv1 (3x3, stride 2) ReLU -> conv2 (3x3) ReLU -> fc ReLU -> logits[A], value. No jax here.
"""

import numpy as np

OBS_SHAPE = (12, 11, 3)
ACTIONS = 4
_STRIDES = {"conv1": 2, "conv2": 1}


def weights(seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """float64 parameters, of sizes that keep some units silent and some active."""
    rng = np.random.default_rng(seed)

    def layer(*shape: int) -> dict[str, np.ndarray]:
        return {"w": rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1])), "b": rng.normal(size=shape[-1]) * 0.1}

    return {
        "conv1": layer(3, 3, OBS_SHAPE[-1], 6),
        "conv2": layer(3, 3, 6, 5),
        "fc": layer(3 * 3 * 5, 16),
        "logits": layer(16, ACTIONS),
        "value": layer(16, 1),
    }


def frame(seed: int = 0) -> np.ndarray:
    """One observation [H W C] of whole numbers 0..255, uint8."""
    return np.random.default_rng(100 + seed).integers(0, 256, OBS_SHAPE, dtype=np.uint8)


def conv(x: np.ndarray, w: np.ndarray, stride: int) -> np.ndarray:
    """x[H W c] * w[k k c d], VALID -> [h w d]."""
    k = w.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (0, 1))[::stride, ::stride]  # [h w c k k]
    return np.einsum("hwcij,ijcd->hwd", windows, w)


def conv_backward(g: np.ndarray, w: np.ndarray, stride: int, shape: tuple[int, ...]) -> np.ndarray:
    """The cotangent of x, given that of conv(x, w, stride)."""
    x = np.zeros(shape)
    k = w.shape[0]
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            x[i * stride : i * stride + k, j * stride : j * stride + k] += w @ g[i, j]
    return x


def forward(params: dict, obs: np.ndarray | None, at: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Every activation by name; the pre-activations as `<name>_in`. `at={"conv2": h}` starts there, without obs."""
    at = at or {}
    acts: dict[str, np.ndarray] = {}
    x = None if obs is None else np.asarray(obs, np.float64) / 255
    for name in ("conv1", "conv2", "fc"):
        if name in at:
            x = np.asarray(at[name], np.float64)
        elif x is None:
            continue
        else:
            w, b = params[name]["w"], params[name]["b"]
            acts[name + "_in"] = (x.reshape(-1) @ w if name == "fc" else conv(x, w, _STRIDES[name])) + b
            x = np.maximum(acts[name + "_in"], 0)
        acts[name] = x
    assert x is not None
    acts["logits"] = x @ params["logits"]["w"] + params["logits"]["b"]
    acts["value"] = (x @ params["value"]["w"] + params["value"]["b"])[0]
    return acts


RELU_RULES = {
    "plain": lambda x, g: g * (x > 0),
    "guided": lambda x, g: g * (x > 0) * (g > 0),
    "deconv": lambda x, g: g * (g > 0),
}


def backward(params: dict, acts: dict, target: str, rule: str = "plain", to: str = "obs") -> np.ndarray:
    """d target / d `to`, by hand. `target` is "value" or "logit:<a>"; `to` is "obs" or a layer AFTER its ReLU."""
    if target == "value":
        g = params["value"]["w"][:, 0]
    else:
        g = params["logits"]["w"][:, int(target.split(":")[1])]
    relu_backward = RELU_RULES[rule]
    if to == "fc":
        return g
    g = (params["fc"]["w"] @ relu_backward(acts["fc_in"], g)).reshape(acts["conv2"].shape)
    if to == "conv2":
        return g
    g = conv_backward(relu_backward(acts["conv2_in"], g), params["conv2"]["w"], 1, acts["conv1"].shape)
    if to == "conv1":
        return g
    return conv_backward(relu_backward(acts["conv1_in"], g), params["conv1"]["w"], 2, OBS_SHAPE) / 255


def gradient(params: dict, obs: np.ndarray, target: str, rule: str = "plain", to: str = "obs") -> np.ndarray:
    return backward(params, forward(params, obs), target, rule, to)


def grad_cam(params: dict, obs: np.ndarray, target: str, layer: str, rule: str = "plain") -> np.ndarray:
    acts = forward(params, obs)
    alpha = backward(params, acts, target, rule, layer).mean((0, 1))
    return np.maximum((acts[layer] * alpha).sum(-1), 0)


def integrated_gradients(
    params: dict,
    obs: np.ndarray,
    target: str,
    baseline: np.ndarray | float,
    nodes: np.ndarray,
    node_weights: np.ndarray,
) -> np.ndarray:
    step = np.asarray(obs, np.float64) - baseline
    slopes = [gradient(params, baseline + a * step, target) for a in nodes]
    return step * np.tensordot(node_weights, np.stack(slopes), 1)


def layer_integrated_gradients(params: dict, obs: np.ndarray, target: str, layer: str, steps: int) -> np.ndarray:
    h = forward(params, obs)[layer]
    slopes = [
        backward(params, forward(params, None, {layer: h * (k / steps)}), target, to=layer) for k in range(1, steps + 1)
    ]
    return h * np.mean(slopes, 0)


def bilinear(map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """map[h w] -> [H W]: half-pixel centres, edges clamped, one pixel at a time."""
    h, w = map.shape

    def source(i: int, old: int, new: int) -> tuple[int, int, float]:
        x = min(max((i + 0.5) * old / new - 0.5, 0), old - 1)
        low = int(np.floor(x))
        return low, min(low + 1, old - 1), x - low

    out = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            (a, b, s), (c, d, t) = source(i, h, size[0]), source(j, w, size[1])
            top, bottom = (1 - t) * map[a, c] + t * map[a, d], (1 - t) * map[b, c] + t * map[b, d]
            out[i, j] = (1 - s) * top + s * bottom
    return out
