"""Our weights in PyTorch's layers, which bear our names."""

from typing import Any

import numpy as np
import torch
from torch import nn

#: the last convolution's height, width and channels, where a flattened layer follows: ours are in this order
Places = tuple[int, int, int]


def copy(net: Any, params: Any) -> Any:
    """The weights of our network in the layers of `net`; gives `net`.

    `net.places` says which of its layers take what a convolution gave, flattened.
    """
    for name, module in net.named_children():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.LSTM | nn.LSTMCell):
            fill(module, params["params"][name], net.places.get(name))
    return net


def fill(module: Any, ours: Any, places: Places | None = None) -> None:
    """One layer's weights."""
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        fill_lstm(module, ours, "_l0" if isinstance(module, nn.LSTM) else "", places)
        return
    kernel = np.asarray(ours["kernel"])
    if isinstance(module, nn.ConvTranspose2d):  # PyTorch's is the gradient of a convolution, whose kernel is turned round
        kernel = kernel[::-1, ::-1].transpose(2, 3, 0, 1)
    elif isinstance(module, nn.Conv2d):
        kernel = kernel.transpose(3, 2, 0, 1)
    else:
        kernel = channels_first(kernel, places).T
    put(module.weight, kernel)
    if module.bias is not None:
        put(module.bias, ours["bias"])


def fill_lstm(module: Any, ours: Any, ending: str, places: Places | None = None) -> None:
    """One direction of an LSTM. Its bias at the input stays 0: ours has but one."""
    kernel = lambda side: np.concatenate([np.asarray(ours[f"{side}{gate}"]["kernel"]) for gate in "ifgo"], 1)  # noqa: E731
    put(getattr(module, f"weight_ih{ending}"), channels_first(kernel("i"), places).T)
    put(getattr(module, f"weight_hh{ending}"), kernel("h").T)
    put(getattr(module, f"bias_hh{ending}"), np.concatenate([np.asarray(ours[f"h{gate}"]["bias"]) for gate in "ifgo"]))
    unused = getattr(module, f"bias_ih{ending}")
    put(unused, np.zeros(len(unused)))
    unused.requires_grad_(False)


def channels_first(kernel: np.ndarray, places: Places | None) -> np.ndarray:
    """kernel[in, out], whose inputs are in the order h w c, in the order c h w."""
    if places is None:
        return kernel
    return kernel.reshape(*places, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)


def put(parameter: torch.Tensor, value: Any) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
