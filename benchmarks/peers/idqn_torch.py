"""The interpretable DQN: keys, four losses, exploration by uncertainty, in the loop of `q_torch.py`."""

from typing import Any

import numpy as np
import torch
from torch import nn

from .dqn_torch import Convs
from .layers_torch import copy, fill, put
from .q_torch import Learner


class IDQN(Convs):
    """Convolutions, an embedding of 256, `keys` keys an action over values from -25 to 25; a decoder of the embedding.

    `mean` is the frame that is taken off.
    """

    places = {"fc": (7, 7, 64)}  # noqa: RUF012
    values: torch.Tensor
    mean: torch.Tensor
    decoder: Any

    def __init__(self, num_actions: int, channels: int, keys: int = 20) -> None:
        super().__init__(channels)
        self.fc = nn.Linear(3136, 256)
        self.keys = nn.Parameter(torch.zeros(num_actions, keys, 256))
        self.decoder = nn.ModuleDict({
            "fc": nn.Linear(256, 3136), "deconv1": nn.ConvTranspose2d(64, 64, 3, 1),
            "deconv2": nn.ConvTranspose2d(64, 32, 4, 2), "deconv3": nn.ConvTranspose2d(32, channels, 8, 4),
        })  # fmt: skip
        self.register_buffer("values", torch.linspace(-25.0, 25.0, keys))
        self.register_buffer("mean", torch.zeros(channels, 84, 84))

    def centred(self, obs: torch.Tensor) -> torch.Tensor:
        return (obs.float() - self.mean) / 255.0

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.look(x).flatten(1))

    def weigh(self, h: torch.Tensor) -> torch.Tensor:
        """[N A keys], summing to 1 over the keys."""
        return (h @ self.keys.flatten(0, 1).T).unflatten(1, self.keys.shape[:2]).softmax(-1)

    def decode(self, h: torch.Tensor) -> torch.Tensor:
        x = self.decoder["fc"](h).relu_().unflatten(1, (64, 7, 7))
        x = self.decoder["deconv2"](self.decoder["deconv1"](x).relu_()).relu_()
        return self.decoder["deconv3"](x)


def copy_idqn(net: IDQN, params: Any) -> IDQN:
    """The weights and constants of ours in `net`; gives `net`."""
    ours, constants = params["params"], params["constants"]
    copy(net, params)
    put(net.keys, ours["keys"])
    put(net.values, constants["values"])
    put(net.mean, np.asarray(constants["mean"]).transpose(2, 0, 1))
    for name, module in net.decoder.items():
        fill(module, ours["decoder"][name])
    kernel, bias = (np.asarray(ours["decoder"]["fc"][part]) for part in ("kernel", "bias"))
    put(net.decoder["fc"].weight, kernel.reshape(256, 7, 7, 64).transpose(3, 1, 2, 0).reshape(3136, 256))
    put(net.decoder["fc"].bias, bias.reshape(7, 7, 64).transpose(2, 0, 1).reshape(-1))
    return net


def project(values: torch.Tensor, probability: torch.Tensor, reward: torch.Tensor, discount: torch.Tensor) -> torch.Tensor:
    """The laws of reward + discount * V, V = values[K] (sorted) with probability[N K], brought back onto `values`."""
    moved = (reward[:, None] + discount[:, None] * values).clamp(values[0], values[-1])
    above = torch.searchsorted(values, moved).clamp(1, len(values) - 1)
    share = (moved - values[above - 1]) / (values[above] - values[above - 1])
    law = torch.zeros_like(probability).scatter_add_(1, above, probability * share)
    return law.scatter_add_(1, above - 1, probability * (1.0 - share))


def loss(net: IDQN, target: IDQN, config: Any, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Bellman (double, Huber), distributional, reconstruction and diversity errors, weighted."""
    obs, action, reward, done, next_obs = batch
    rows, values, going_on = torch.arange(len(action)), net.values, config.discount * (1.0 - done)
    with torch.no_grad():
        best = (net.weigh(net.embed(net.centred(next_obs))) @ values).argmax(1)
        following = target.weigh(target.embed(target.centred(next_obs)))[rows, best]
        aim = reward + going_on * (following @ values)
        law = project(values, following, reward, going_on)
    x = net.centred(obs)
    h = net.embed(x)
    taken = net.weigh(h)[rows, action]
    bellman = nn.functional.smooth_l1_loss(taken @ values, aim)
    distributional = -(law * (taken + 1e-6).log()).sum(1).mean()
    reconstruction = 0.5 * (net.decode(h) - x).square().sum((1, 2, 3)).mean()
    diversity = (taken @ taken.T - torch.eye(len(taken))).square().sum()
    return (
        config.bellman * bellman + config.distributional * distributional
        + config.reconstruction * reconstruction + config.diversity * diversity
    )  # fmt: skip


class KeysLearner(Learner):
    """Explores by the upper bound of q; before it learns it takes the mean of the frames."""

    def choose(self, obs: torch.Tensor) -> np.ndarray:
        net = self.net
        if self.count * self.games < self.s.learn_start:
            net.mean += (obs.mean(0) - net.mean) / (self.count + 1)
            self.target.mean.copy_(net.mean)
        weights = net.weigh(net.embed(net.centred(obs)))
        q = weights @ net.values
        uncertainty = (weights @ net.values.square() - q.square()).clamp(min=0.0).sqrt()
        return (q + self.s.exploration * uncertainty).argmax(1).numpy().astype(np.int32)
