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


def _nature_convs(p, obs):
    x = np.asarray(obs, np.float64) / 255
    x = relu(conv(p["conv1"], x, 4))
    x = relu(conv(p["conv2"], x, 2))
    return relu(conv(p["conv3"], x)).reshape(-1)


def nature(p, obs):
    return _actor_critic(p, relu(dense(p["fc"], _nature_convs(p, obs))))


def nature_q(p, obs):
    return {"q": dense(p["q"], relu(dense(p["fc"], _nature_convs(p, obs))))}


def nature_dueling(p, obs):
    x = _nature_convs(p, obs)
    value = dense(p["value"], relu(dense(p["fc_value"], x)))[0]
    raw = dense(p["advantage"], relu(dense(p["fc_advantage"], x)))
    advantage = raw - raw.mean()
    return {"q": value + advantage, "value": value, "advantage": advantage}


def minatar(p, obs):
    x = relu(conv(p["conv1"], np.asarray(obs, np.float64) / 255))
    return _actor_critic(p, relu(dense(p["fc"], x.reshape(-1))))


def coinrun(p, obs):
    x = l2_pool(relu(conv(p["1a"], np.asarray(obs, np.float64) / 255, padding=3)))
    x = relu(conv(p["2a"], x, padding=2))
    x = l2_pool(relu(conv(p["2b"], x, padding=2)))
    x = l2_pool(relu(conv(p["3a"], x, padding=2)))
    x = l2_pool(relu(conv(p["4a"], x, padding=2))).reshape(-1)
    return _actor_critic(p, relu(dense(p["fc2"], relu(dense(p["fc1"], x)))))


FORWARD = {
    "nature": nature,
    "nature-q": nature_q,
    "nature-dueling": nature_dueling,
    "minatar": minatar,
    "coinrun": coinrun,
}
