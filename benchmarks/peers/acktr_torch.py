"""ACKTR in PyTorch: K-FAC by hooks, as Kostrikov's `pytorch-a2c-ppo-acktr-gail` has it, in the loop of `ppo_torch.py`.

Where that leaves time lying, this does not: one forward pass serves the loss and the Fisher statistics, whose backward pass
stops at the layers' outputs; no ones are put behind the patches of a convolution. The mathematics is ours: inverses of both
factors, the trust region, the mean of steps.
"""

from typing import Any

import torch
from torch import nn

from . import ppo_torch

Factors = tuple[torch.Tensor, torch.Tensor]  # E[a a'] with the bias behind, E[g g']


class KFAC:
    """The natural gradient of all dense and convolutional layers of `net`, and the step that `config` makes of it."""

    def __init__(self, net: nn.Module, config: Any) -> None:
        self.layers: list[Any] = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        self.s, self.count, self.watching = config, 0, False
        self.seen: dict[Any, tuple[torch.Tensor, torch.Tensor]] = {}
        self.means: dict[Any, Factors] = {}
        self.inverses: dict[Any, Factors] = {}
        self.velocity: dict[Any, torch.Tensor] = {}
        for layer in self.layers:
            layer.register_forward_hook(self._watch)

    def _watch(self, layer: Any, inputs: Any, output: torch.Tensor) -> None:
        if self.watching:
            self.seen[layer] = inputs[0].detach(), output

    @torch.no_grad()
    def step(self, slopes: tuple[torch.Tensor, ...], left: float) -> None:
        """Moves the weights, whose gradients stand ready; `slopes` of the Fisher loss at the outputs that were seen."""
        s, self.count = self.s, self.count + 1
        for layer, slope in zip(self.layers, slopes, strict=True):
            fresh = factors(layer, self.seen[layer][0], slope)
            if layer not in self.means:
                self.means[layer] = torch.zeros_like(fresh[0]), torch.zeros_like(fresh[1])
            for mean, new in zip(self.means[layer], fresh, strict=True):
                mean.mul_(s.decay).add_(new, alpha=1 - s.decay)
        if (self.count - 1) % s.inverse_every == 0:
            known = 1 - s.decay**self.count
            self.inverses = {k: inverted(a / known, g / known, s.damping) for k, (a, g) in self.means.items()}
        natural, squared = {}, 0.0
        for layer in self.layers:
            grad = torch.cat([layer.weight.grad.flatten(1), layer.bias.grad[:, None]], 1)
            a, g = self.inverses[layer]
            natural[layer] = g @ grad @ a
            squared += float((natural[layer] * grad).sum())
        scale = min(s.learning_rate * left, (2 * s.max_kl / max(squared, 1e-20)) ** 0.5)
        for layer, change in natural.items():
            old = self.velocity.setdefault(layer, torch.zeros_like(change))
            old.mul_(s.momentum).sub_(change, alpha=(1 - s.momentum) * scale)
            layer.weight += old[:, :-1].view_as(layer.weight)
            layer.bias += old[:, -1]


def factors(layer: Any, x: torch.Tensor, slope: torch.Tensor) -> Factors:
    """Means over observations of x[n ...] and slope[n ...]; over a convolution's places a sum of `a`, a mean of `g`."""
    n, places = len(x), 1
    if isinstance(layer, nn.Conv2d):
        patches = nn.functional.unfold(x, layer.kernel_size, stride=layer.stride)  # pyright: ignore[reportArgumentType]
        places = patches.shape[-1]
        x, slope = patches.transpose(1, 2).flatten(0, 1), slope.flatten(2).transpose(1, 2).flatten(0, 1)
    wide = x.shape[1]
    a = x.new_empty(wide + 1, wide + 1)
    a[:wide, :wide] = x.T @ x
    a[wide, :wide] = a[:wide, wide] = x.sum(0)
    a[wide, wide] = len(x)
    return a / n, slope.T @ slope / (n * places)


def inverted(a: torch.Tensor, g: torch.Tensor, damping: float) -> Factors:
    """Inverses of both, after a share of the damping each."""
    share = float((a.trace() / len(a)).clamp_min(1e-12) / (g.trace() / len(g)).clamp_min(1e-12)) ** 0.5
    root = damping**0.5
    inverse = lambda m, more: torch.cholesky_inverse(torch.linalg.cholesky(m + more * torch.eye(len(m))))  # noqa: E731
    return inverse(a, share * root), inverse(g, root / share)


def learn(net: Any, kfac: KFAC, batch: dict[str, torch.Tensor], left: float, drawn: Any = None) -> None:
    """One step; `drawn`: the actions and values of the Fisher loss, drawn afresh where none are given."""
    s = kfac.s
    kfac.watching = True
    logits, value = net(batch["obs"].float())
    kfac.watching = False
    policy = torch.distributions.Categorical(logits=logits, validate_args=False)
    error = (value - batch["target"]) ** 2
    loss = -(policy.log_prob(batch["action"]) * batch["advantage"]).mean() + s.value_coef * error.mean()
    loss = loss - s.entropy_coef * policy.entropy().mean()
    if drawn is None:
        drawn = policy.sample(), value.detach() + torch.randn_like(value)
    fisher = 0.5 * ((value - drawn[1]) ** 2).sum() - policy.log_prob(drawn[0]).sum()
    slopes = torch.autograd.grad(fisher, [kfac.seen[layer][1] for layer in kfac.layers], retain_graph=True)
    net.zero_grad()
    loss.backward()
    kfac.step(slopes, left)


class Learner(ppo_torch.Learner):
    """Plays as A2C does, and takes one step along the natural gradient."""

    optimizer: KFAC

    def make_optimizer(self) -> KFAC:
        return KFAC(self.net, self.s)

    def learn(self, left: float) -> None:
        learn(self.net, self.optimizer, {name: x.flatten(0, 1) for name, x in self.samples().items()}, left)
