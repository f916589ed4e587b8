"""DQN, double DQN and dueling networks, as CleanRL writes them, channels first."""

from typing import Any

import torch
from torch import nn


def nature_convs(channels: int, last_stride: int = 1) -> tuple[nn.Conv2d, nn.Conv2d, nn.Conv2d]:
    return nn.Conv2d(channels, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3, last_stride)


class Convs(nn.Module):
    """The three convolutions of the Nature CNN. What is built on them has our names for its layers."""

    def __init__(self, channels: int, last_stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nature_convs(channels, last_stride)

    #: of layers that take the flattened convolutions
    places: dict[str, tuple[int, int, int]]

    def look(self, x: torch.Tensor) -> torch.Tensor:
        """x[N C 84 84] in 0..1 -> [N 64 h w]."""
        return self.conv3(self.conv2(self.conv1(x).relu_()).relu_()).relu_()


class NatureQ(Convs):
    """The Nature CNN with one value an action."""

    places = {"fc": (7, 7, 64)}  # noqa: RUF012

    def __init__(self, num_actions: int, channels: int) -> None:
        super().__init__(channels)
        self.fc, self.q = nn.Linear(3136, 512), nn.Linear(512, num_actions)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return self.q(self.fc(self.look(obs / 255.0).flatten(1)).relu())


class NatureDueling(Convs):
    """The same with a stream of 512 units for the value and one for the advantages."""

    places = {"fc_value": (7, 7, 64), "fc_advantage": (7, 7, 64)}  # noqa: RUF012

    def __init__(self, num_actions: int, channels: int) -> None:
        super().__init__(channels)
        self.fc_value, self.value = nn.Linear(3136, 512), nn.Linear(512, 1)
        self.fc_advantage, self.advantage = nn.Linear(3136, 512), nn.Linear(512, num_actions)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        x = self.look(obs / 255.0).flatten(1)
        advantage = self.advantage(self.fc_advantage(x).relu())
        return self.value(self.fc_value(x).relu()) + advantage - advantage.mean(1, keepdim=True)


def loss(net: Any, target: Any, config: Any, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Huber loss of the one-step error (CleanRL: its mean square, which costs the same), double where `config.double`."""
    obs, action, reward, done, next_obs = batch
    next_obs = next_obs.float()
    with torch.no_grad():
        next_q = target(next_obs)
        best = (net(next_obs) if config.double else next_q).argmax(1, keepdim=True)
        aim = reward + config.discount * (1.0 - done) * next_q.gather(1, best)[:, 0]
    chosen = net(obs.float()).gather(1, action[:, None])[:, 0]
    return nn.functional.smooth_l1_loss(chosen, aim)
