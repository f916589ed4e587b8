"""The Nature CNN in PyTorch, with the weights of ours."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

#: how many modules of `body` make each layer, its ReLU included
CUT = {"conv1": 2, "conv2": 4, "conv3": 6, "fc": 9}


class Nature(nn.Module):
    """x[N 4 84 84], float, 0..255 -> (logits[N A], value[N]). Every ReLU is a module of its own, as Captum needs it."""

    def __init__(self, num_actions: int, relu: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        convs = nn.Conv2d(4, 32, 8, 4), relu(), nn.Conv2d(32, 64, 4, 2), relu(), nn.Conv2d(64, 64, 3, 1), relu()
        self.body = nn.Sequential(*convs, nn.Flatten(), nn.Linear(3136, 512), relu())
        self.logits = nn.Linear(512, num_actions)
        self.value = nn.Linear(512, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.body(self._scaled(x))
        return self.logits(hidden), self.value(hidden)[:, 0]

    def _scaled(self, x: torch.Tensor) -> torch.Tensor:
        return (x / 255.0).to(self.value.weight.dtype)  # noise and masks are float32, whatever the network computes in

    def layer(self, name: str) -> nn.Module:
        """The ReLU module of a layer."""
        return self.body[CUT[name] - 1]

    def below(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """The activation of a layer."""
        return self.body[: CUT[name]](self._scaled(x))

    def above(self, name: str, hidden: torch.Tensor) -> torch.Tensor:
        """The value, from the activation of a layer."""
        return self.value(self.body[CUT[name] :](hidden))[:, 0]


class Value(nn.Module):
    """Only the value of a `Nature`: what is explained."""

    def __init__(self, net: Nature) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net.value(self.net.body(self.net._scaled(x)))[:, 0]


def copy_weights(net: Nature, params: Any) -> Nature:
    """Puts the parameters of `rljax_viz.networks.make("nature", ...)` into `net`; gives `net`."""
    p = params["params"]
    for module, name in zip(net.body[:6:2], ("conv1", "conv2", "conv3"), strict=True):
        _put(module, np.asarray(p[name]["kernel"]).transpose(3, 2, 0, 1), p[name]["bias"])
    kernel = np.asarray(p["fc"]["kernel"])  # its inputs are in the order h w c, PyTorch's in the order c h w
    _put(net.body[7], kernel.reshape(7, 7, 64, 512).transpose(3, 2, 0, 1).reshape(512, 3136), p["fc"]["bias"])
    for module, name in ((net.logits, "logits"), (net.value, "value")):
        _put(module, np.asarray(p[name]["kernel"]).T, p[name]["bias"])
    return net


def _put(module: Any, weight: np.ndarray, bias: Any) -> None:
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weight))
        module.bias.copy_(torch.tensor(np.asarray(bias)))
