"""Each network once more, in numpy float64: loops over kernel taps and nothing from jax."""

import numpy as np


def conv(layer, x, stride=1, padding=0):
    kernel, bias = (np.asarray(layer[k], np.float64) for k in ("kernel", "bias"))
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    size = kernel.shape[0]
    rows, columns = ((n - size) // stride + 1 for n in x.shape[:2])
    out = np.zeros((rows, columns, kernel.shape[3])) + bias
    for i in range(size):
        for j in range(size):
            out += x[i : i + rows * stride : stride, j : j + columns * stride : stride][:rows, :columns] @ kernel[i, j]
    return out


def dense(layer, x):
    return x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)


def relu(x):
    return np.maximum(x, 0)


def l2_pool(x):
    h, w, c = x.shape
    return np.sqrt((x**2).reshape(h // 2, 2, w // 2, 2, c).mean((1, 3)) + 1e-8)


def _actor_critic(p, x):
    return {"logits": dense(p["logits"], x), "value": dense(p["value"], x)[0]}


def _nature_convs(p, obs, flat=True):
    x = np.asarray(obs, np.float64) / 255
    x = relu(conv(p["conv1"], x, 4))
    x = relu(conv(p["conv2"], x, 2))
    x = relu(conv(p["conv3"], x))
    return x.reshape(-1) if flat else x


def nature(p, obs):
    return _actor_critic(p, relu(dense(p["fc"], _nature_convs(p, obs))))


def nature_q(p, obs):
    return {"q": dense(p["q"], relu(dense(p["fc"], _nature_convs(p, obs))))}


def _dueling(p, x):
    value = dense(p["value"], relu(dense(p["fc_value"], x)))[0]
    raw = dense(p["advantage"], relu(dense(p["fc_advantage"], x)))
    advantage = raw - raw.mean()
    return {"q": value + advantage, "value": value, "advantage": advantage}


def nature_dueling(p, obs):
    return _dueling(p, _nature_convs(p, obs))


def minatar(p, obs):
    x = relu(conv(p["conv1"], np.asarray(obs, np.float64) / 255))
    return _actor_critic(p, relu(dense(p["fc"], x.reshape(-1))))


def minatar_q(p, obs):
    x = relu(conv(p["conv1"], np.asarray(obs, np.float64) / 255)).reshape(-1)
    return {"q": dense(p["q"], relu(dense(p["fc"], x)))}


def minatar_dueling(p, obs):
    return _dueling(p, relu(conv(p["conv1"], np.asarray(obs, np.float64) / 255)).reshape(-1))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(p, x, carry=None):
    """One step: Hochreiter & Schmidhuber 1997 with a forget gate; the biases are those of the recurrent side."""
    width = np.shape(p["hi"]["bias"])[0]
    c, h = (np.zeros(width),) * 2 if carry is None else carry
    gate = {g: np.asarray(p[f"i{g}"]["kernel"], np.float64).T @ x + dense(p[f"h{g}"], h) for g in "ifgo"}
    c = sigmoid(gate["f"]) * c + sigmoid(gate["i"]) * np.tanh(gate["g"])
    return c, sigmoid(gate["o"]) * np.tanh(c)


def a3c(p, obs, carry=None, small=False, memory=False):
    x = np.asarray(obs, np.float64) / 255
    for layer, stride in (("conv1", 1),) if small else (("conv1", 4), ("conv2", 2), ("conv3", 2)):
        x = relu(conv(p[layer], x, stride))
    x = relu(dense(p["fc"], x.reshape(-1)))
    if not memory:
        return _actor_critic(p, x)
    carry = lstm(p["lstm"], x, carry)
    return {**_actor_critic(p, carry[1]), "carry": carry}


def drqn(p, obs, carry=None, small=False, attends=False):
    x = relu(conv(p["conv1"], np.asarray(obs, np.float64) / 255)) if small else _nature_convs(p, obs, flat=False)
    found = {}
    if attends:
        seen = x @ np.asarray(p["place"]["kernel"], np.float64) + np.asarray(p["place"]["bias"])
        seen = seen + (0 if carry is None else np.asarray(p["recall"]["kernel"], np.float64).T @ carry[1])
        w = np.tanh(seen) @ np.asarray(p["attend"]["kernel"], np.float64) + np.asarray(p["attend"]["bias"])
        found["attention"] = softmax(w[..., 0].reshape(-1)).reshape(w.shape[:2])
        x = (x * found["attention"][..., None]).sum((0, 1))
    carry = lstm(p["lstm"], x.reshape(-1), carry)
    value, raw = dense(p["value"], carry[1])[0], dense(p["advantage"], carry[1])
    advantage = raw - raw.mean()
    return {**found, "q": value + advantage, "value": value, "advantage": advantage, "carry": carry}


def _stream(p, name, x):
    for number in (1, 2):
        both = 0
        for way, turn in (("forward", 1), ("backward", -1)):
            carry, out = None, []
            for row in x[::turn]:
                carry = lstm(p[f"{name}_{way}{number}"], row, carry)
                out.append(carry[1])
            both = both + np.stack(out[::turn])
        x = both
    out = np.stack([dense(p[f"{name}_step"], row) for row in x])
    return out * softmax(np.tanh([dense(p[f"{name}_attend"], row)[0] for row in out]))[:, None]


def split_attention(p, obs, window=0, small=False):
    frames = np.split(np.asarray(obs, np.float64), window or obs.shape[-1], axis=-1)
    convs = (lambda x: relu(conv(p["conv1"], x / 255)).reshape(-1)) if small else (lambda x: _nature_convs(p, x))
    rows = [relu(dense(p["fc"], convs(frame))) for frame in frames]
    value, raw = _stream(p, "value", np.stack(rows)), _stream(p, "advantage", np.stack(rows))
    advantage = raw - raw.mean(-1, keepdims=True)
    return {"q": dense(p["q"], (value + advantage).sum(0)), "value": value.sum(), "advantage": advantage.sum(0)}


def transposed(p, x, stride):
    """Every pixel of x[h w c] puts its kernel down, turned as flax keeps it; VALID."""
    kernel, bias = np.asarray(p["kernel"], np.float64)[::-1, ::-1], np.asarray(p["bias"], np.float64)
    size, _, _, features = kernel.shape
    out = np.zeros(((x.shape[0] - 1) * stride + size, (x.shape[1] - 1) * stride + size, features))
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i * stride : i * stride + size, j * stride : j * stride + size] += np.einsum("hwcf,c->hwf", kernel, x[i, j])
    return out + bias


def idqn(p, obs, small=False):
    x = np.asarray(obs, np.float64) / 255
    for layer, stride in (("conv1", 1),) if small else (("conv1", 4), ("conv2", 2), ("conv3", 1)):
        x = relu(conv(p[layer], x, stride))
    h = dense(p["fc"], x.reshape(-1))
    weights = np.stack([softmax(np.asarray(keys, np.float64) @ h) for keys in p["keys"]])
    values = np.linspace(-25, 25, weights.shape[1])
    q = weights @ values
    image = relu(dense(p["decoder"]["fc"], h)).reshape(x.shape)
    strides = (1,) if small else (1, 2, 4)
    for number, stride in enumerate(strides, 1):
        image = transposed(p["decoder"][f"deconv{number}"], relu(image) if number > 1 else image, stride)
    deviation = np.sqrt((weights * (values - q[:, None]) ** 2).sum(1))
    return {"q": q, "uncertainty": deviation, "weights": weights, "embedding": h, "reconstruction": image}


def coinrun(p, obs):
    x = l2_pool(relu(conv(p["1a"], np.asarray(obs, np.float64) / 255, padding=3)))
    x = relu(conv(p["2a"], x, padding=2))
    x = l2_pool(relu(conv(p["2b"], x, padding=2)))
    x = l2_pool(relu(conv(p["3a"], x, padding=2)))
    x = l2_pool(relu(conv(p["4a"], x, padding=2))).reshape(-1)
    return _actor_critic(p, relu(dense(p["fc2"], relu(dense(p["fc1"], x)))))


NATURE, TWIN = (("conv1", 4), ("conv2", 2), ("conv3", 1)), (("conv1", 1), ("conv2", 2))


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def daqn(p, obs, convs=None):
    x = np.asarray(obs, np.float64) / 255
    for layer, stride in convs or NATURE:
        x = relu(conv(p[layer], x, stride))
    h = softmax(conv(p["attend"], np.tanh(conv(p["look"], x)))[..., 0])
    seen = (x * h[..., None]).sum((0, 1))
    return {**_actor_critic(p, relu(dense(p["fc"], seen))), "attention": h}


def rs(p, obs, padding=1, convs=None):
    x = np.pad(np.asarray(obs, np.float64) / 255, ((padding, padding), (padding, padding), (0, 0)))
    for layer, stride in convs or NATURE:
        x = relu(conv(p[layer], x, stride))
    x = x / np.sqrt(np.maximum((x**2).sum(-1, keepdims=True), 1e-12))
    seen = conv(p["look"], x)
    two = conv(p["attend"], np.where(seen > 0, seen, np.expm1(np.minimum(seen, 0))))
    h = softmax(two[..., 0]) + softmax(two[..., 1])
    return {**_actor_critic(p, relu(dense(p["fc"], (x * h[..., None]).reshape(-1)))), "attention": h}


SPARSE, DENSE = ((0, 4), (0, 2), (0, 1)), ((3, 1), (2, 1), (1, 1))  # padding and stride of each convolution
TWIN_SPARSE, TWIN_DENSE = ((0, 1), (0, 2)), ((1, 1), (1, 1))


def fls(p, obs, attend=(3,), block=SPARSE, pool=False, norm=False, size=3, base_two=False, last_relu=True):
    x = np.asarray(obs, np.float64) / 255
    h = None
    for k, (padding, stride) in enumerate(block, 1):
        x = conv(p[f"conv{k}"], x, stride, padding)
        x = relu(x) if k < len(block) or last_relu else x
        if k in attend:
            place = str(k) if len(attend) > 1 else ""
            seen = relu(conv(p[f"look{place}"], x, 1, size // 2))
            h = conv(p[f"attend{place}"], seen, 1, size // 2)[..., 0]
            h = np.log2(1 + 2.0**h) if base_two else np.log1p(np.exp(h))
            h = h / h.sum() if norm else h
            x = x * h[..., None]
    x = x.sum((0, 1)) if pool else x.reshape(-1)
    heads = _actor_critic(p, relu(dense(p["fc"], x)))
    return heads if h is None else {**heads, "attention": h}


FLS = {
    "sparse-fls": {},
    "sparse-fls-sum-pool": {"pool": True},
    "sparse-fls-norm": {"norm": True},
    "sparse-fls-1x1": {"size": 1},
    "sparse-fls-softplus2": {"base_two": True},
    "sparse-fls-no-relu": {"last_relu": False},
    "sparse-fls-no-relu-sum-pool": {"last_relu": False, "pool": True},
    "sparse-fls-conv1": {"attend": (1,)},
    "sparse-fls-each-conv": {"attend": (1, 2, 3)},
    "dense-fls-sum-pool": {"block": DENSE, "pool": True},
    "dense-fls-no-relu-sum-pool": {"block": DENSE, "last_relu": False, "pool": True},
}
TWINS = {
    "minatar-fls": {},
    "minatar-fls-sum-pool": {"pool": True},
    "minatar-fls-norm": {"norm": True},
    "minatar-fls-1x1": {"size": 1},
    "minatar-fls-softplus2": {"base_two": True},
    "minatar-fls-no-relu": {"last_relu": False},
    "minatar-fls-no-relu-sum-pool": {"last_relu": False, "pool": True},
    "minatar-fls-conv1": {"attend": (1,)},
    "minatar-fls-each-conv": {"attend": (1, 2)},
    "minatar-dense-fls-sum-pool": {"block": TWIN_DENSE, "pool": True},
    "minatar-dense-fls-no-relu-sum-pool": {"block": TWIN_DENSE, "last_relu": False, "pool": True},
}
_TWIN = {"attend": (2,), "block": TWIN_SPARSE}
FORWARD = {
    "daqn": daqn,
    "rs": rs,
    "rs-no-padding": lambda p, obs: rs(p, obs, 0),
    **{name: lambda p, obs, options=options: fls(p, obs, **options) for name, options in FLS.items()},
    "minatar-daqn": lambda p, obs: daqn(p, obs, TWIN),
    "minatar-rs": lambda p, obs: rs(p, obs, 0, TWIN),
    "minatar-sparse": lambda p, obs: fls(p, obs, (), TWIN_SPARSE),
    **{name: lambda p, obs, options=_TWIN | options: fls(p, obs, **options) for name, options in TWINS.items()},
    "nature": nature,
    "nature-q": nature_q,
    "nature-dueling": nature_dueling,
    "minatar": minatar,
    "idqn": idqn,
    "minatar-idqn": lambda p, obs: idqn(p, obs, small=True),
    "minatar-q": minatar_q,
    "minatar-dueling": minatar_dueling,
    "coinrun": coinrun,
}

#: of networks that remember, and their kin: (params, obs, carry) -> fields
REMEMBERING = {
    "a3c": a3c,
    "a3c-lstm": lambda p, obs, carry: a3c(p, obs, carry, memory=True),
    "minatar-lstm": lambda p, obs, carry: a3c(p, obs, carry, small=True, memory=True),
    "drqn": drqn,
    "darqn": lambda p, obs, carry: drqn(p, obs, carry, attends=True),
    "minatar-drqn": lambda p, obs, carry: drqn(p, obs, carry, small=True),
    "minatar-darqn": lambda p, obs, carry: drqn(p, obs, carry, small=True, attends=True),
    "split-attention": lambda p, obs, carry: split_attention(p, obs),
    "minatar-split-attention": lambda p, obs, carry: split_attention(p, obs, window=10, small=True),
}
