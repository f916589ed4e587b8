"""The networks of A3C and A3C-LSTM: three convolutions, the last with stride two, 256 units, actor and critic."""

import torch
from torch import nn

from .dqn_torch import Convs
from .memory_torch import Carry, along


class A3C(Convs):
    """obs[N C 84 84] -> (logits[N A], value[N])."""

    places = {"fc": (4, 4, 64)}  # noqa: RUF012

    def __init__(self, num_actions: int, channels: int) -> None:
        super().__init__(channels, last_stride=2)
        self.fc, self.logits, self.value = nn.Linear(1024, 256), nn.Linear(256, num_actions), nn.Linear(256, 1)

    def body(self, obs: torch.Tensor) -> torch.Tensor:
        return self.fc(self.look(obs / 255.0).flatten(1)).relu()

    def forward(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.body(obs)
        return self.logits(x), self.value(x)[:, 0]


class A3CLSTM(A3C):
    """The same with an LSTM of 256 units: obs[T*B C 84 84], fresh[T B] -> (logits[T*B A], value[T*B], carry)."""

    def __init__(self, num_actions: int, channels: int) -> None:
        super().__init__(num_actions, channels)
        self.lstm = nn.LSTM(256, 256)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, obs: torch.Tensor, carry: Carry, fresh: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Carry]:
        h, carry = along(self.lstm, self.body(obs).unflatten(0, fresh.shape), carry, fresh)
        h = h.flatten(0, 1)
        return self.logits(h), self.value(h)[:, 0], carry
