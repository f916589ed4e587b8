"""DRQN and DARQN: windows of steps through an LSTM, in the loop of `q_torch.py`."""

from typing import Any

import numpy as np
import torch
from torch import nn

from .dqn_torch import Convs
from .memory_torch import Carry, along, emptied, empty
from .q_torch import Learner


class DRQN(Convs):
    """Convolutions, an LSTM of 512 units, dueling heads: `(q[T B A], carry)` of obs[T*B C 84 84] and fresh[T B]."""

    places = {"lstm": (7, 7, 64)}  # noqa: RUF012

    def __init__(self, num_actions: int, channels: int) -> None:
        super().__init__(channels)
        self.lstm = self.make_lstm()
        self.value, self.advantage = nn.Linear(512, 1), nn.Linear(512, num_actions)

    def make_lstm(self) -> Any:
        return nn.LSTM(3136, 512)

    def forward(self, obs: torch.Tensor, carry: Carry, fresh: torch.Tensor) -> tuple[torch.Tensor, Carry]:
        h, carry = self.remember(self.look(obs / 255.0), carry, fresh)
        advantage = self.advantage(h)
        return self.value(h) + advantage - advantage.mean(-1, keepdim=True), carry

    def remember(self, x: torch.Tensor, carry: Carry, fresh: torch.Tensor) -> tuple[torch.Tensor, Carry]:
        return along(self.lstm, x.reshape(*fresh.shape, -1), carry, fresh)


class DARQN(DRQN):
    """The LSTM sees the mean over places, weighted by what it remembers; it can take but one step at a time."""

    places = {}  # noqa: RUF012

    def __init__(self, num_actions: int, channels: int) -> None:
        super().__init__(num_actions, channels)
        self.place, self.recall, self.attend = nn.Linear(64, 256), nn.Linear(512, 256, bias=False), nn.Linear(256, 1)

    def make_lstm(self) -> Any:
        return nn.LSTMCell(64, 512)

    def remember(self, x: torch.Tensor, carry: Carry, fresh: torch.Tensor) -> tuple[torch.Tensor, Carry]:
        x = x.flatten(2).transpose(1, 2).reshape(*fresh.shape, -1, 64)  # [T B places 64]
        placed, found = self.place(x), []
        for t, begins in enumerate(fresh):
            h, c = emptied(carry, begins)
            weights = self.attend(torch.tanh(placed[t] + self.recall(h)[:, None])).softmax(1)
            carry = self.lstm((x[t] * weights).sum(1), (h, c))
            found.append(carry[0])
        return torch.stack(found), carry


def loss(net: Any, target: Any, config: Any, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Huber loss of the double-DQN error over windows [T B] from empty memories, without the first `warm_up` steps."""
    obs, action, reward, done, fresh = batch
    obs, carry = obs.flatten(0, 1).float(), empty(net.lstm, fresh.shape[1])
    q, _ = net(obs, carry, fresh)
    with torch.no_grad():
        q_target, _ = target(obs, carry, fresh)
        following = q_target[1:].gather(2, q[1:].argmax(2, keepdim=True))[..., 0]
        aim = reward[:-1] + config.discount * (1.0 - done[:-1]) * following
    chosen = q[:-1].gather(2, action[:-1, :, None])[..., 0]
    return nn.functional.smooth_l1_loss(chosen[config.warm_up :], aim[config.warm_up :])


class WindowLearner(Learner):
    """Plays with a memory, and draws windows."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.carry, self.fresh = empty(self.net.lstm, self.games), torch.ones(self.games, dtype=torch.bool)

    def choose(self, obs: torch.Tensor) -> np.ndarray:
        q, self.carry = self.net(obs, self.carry, self.fresh[None])
        return self.explore(q[0])

    def step(self) -> None:
        slot = self.count % self.slots
        super().step()
        self.fresh = torch.from_numpy(self.done[slot] > 0)

    def draw(self) -> tuple[np.ndarray, ...]:
        """obs, action, reward, done and where an episode begins, [T B ...]."""
        length, size = self.s.window, self.s.batch_size
        age = self.rng.integers(length, min(self.count, self.slots) + 1, size)
        slot = (self.count - age + np.arange(length)[:, None]) % self.slots
        game = np.broadcast_to(self.rng.integers(0, self.games, size), slot.shape)
        done = self.done[slot, game]
        fresh = np.concatenate([np.ones((1, size), bool), done[:-1] > 0])
        return self.kept[slot, game], self.action[slot, game], self.reward[slot, game], done, fresh
