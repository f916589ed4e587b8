"""The split-attention network: every frame of a window through the convolutions, two streams of bidirectional LSTMs."""

from typing import Any

import torch
from torch import nn

from .dqn_torch import Convs
from .layers_torch import copy, fill, fill_lstm


class SplitAttention(Convs):
    """obs[N T 84 84] -> q[N A]; its loss and loop are those of double DQN."""

    places = {"fc": (7, 7, 64)}  # noqa: RUF012

    def __init__(self, num_actions: int, window: int) -> None:
        super().__init__(1)
        self.fc, self.q = nn.Linear(3136, 512), nn.Linear(num_actions, num_actions)
        self.streams = nn.ModuleDict({
            name: nn.ModuleDict({
                "lstm1": nn.LSTM(512, 512, bidirectional=True), "lstm2": nn.LSTM(512, 512, bidirectional=True),
                "step": nn.Linear(512, features), "attend": nn.Linear(features, 1),
            })
            for name, features in (("value", 1), ("advantage", num_actions))
        })  # fmt: skip

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        x = self.look(obs.flatten(0, 1)[:, None] / 255.0)
        x = self.fc(x.flatten(1)).relu().unflatten(0, obs.shape[:2]).transpose(0, 1)  # [T N 512]
        value, raw = (self.stream(self.streams[name], x) for name in ("value", "advantage"))
        return self.q((value + raw - raw.mean(-1, keepdim=True)).sum(0))

    def stream(self, layers: Any, x: torch.Tensor) -> torch.Tensor:
        for name in ("lstm1", "lstm2"):
            x = layers[name](x)[0].unflatten(-1, (2, 512)).sum(-2)
        out = layers["step"](x)
        return out * torch.tanh(layers["attend"](out)).softmax(0)


def copy_split(net: SplitAttention, params: Any) -> SplitAttention:
    """The weights of ours in `net`; gives `net`."""
    ours = params["params"]
    copy(net, params)
    for stream, layers in net.streams.items():
        for number in (1, 2):
            for way, ending in (("forward", "_l0"), ("backward", "_l0_reverse")):
                fill_lstm(layers[f"lstm{number}"], ours[f"{stream}_{way}{number}"], ending)  # pyright: ignore
        for name in ("step", "attend"):
            fill(layers[name], ours[f"{stream}_{name}"])  # pyright: ignore
    return net
