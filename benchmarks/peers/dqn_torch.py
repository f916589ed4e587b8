"""DQN on envpool as CleanRL's `dqn_atari.py` writes it: one process, plain PyTorch, whole stacks in a numpy memory.

Where CleanRL leaves time lying, this does not: games step together in envpool, the optimiser is fused. As there, the step
on which envpool only resets a game is learned from like any other.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True)
class Settings:
    """Those of CleanRL for Atari."""

    replay_size: int
    num_steps: int = 128
    learn_every: int = 4
    batch_size: int = 32
    target_every: int = 250
    learning_rate: float = 1e-4
    discount: float = 0.99
    epsilon: float = 0.1


class NatureQ(nn.Module):
    """The Nature CNN with one value an action, channels first."""

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3, 1)
        self.fc, self.q = nn.Linear(3136, 512), nn.Linear(512, num_actions)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv1(obs / 255.0))
        x = torch.relu(self.conv2(x))
        x = torch.relu(self.conv3(x))
        return self.q(torch.relu(self.fc(x.flatten(1))))


def copy_q(twin: NatureQ, params: Any) -> NatureQ:
    """The weights of our `nature-q` in `twin`."""
    ours = params["params"]
    with torch.no_grad():
        for name in ("conv1", "conv2", "conv3"):
            getattr(twin, name).weight.copy_(torch.tensor(np.asarray(ours[name]["kernel"]).transpose(3, 2, 0, 1)))
            getattr(twin, name).bias.copy_(torch.tensor(np.asarray(ours[name]["bias"])))
        fc = np.asarray(ours["fc"]["kernel"]).reshape(7, 7, 64, 512).transpose(2, 0, 1, 3).reshape(3136, 512)
        twin.fc.weight.copy_(torch.tensor(fc.T.copy()))
        twin.fc.bias.copy_(torch.tensor(np.asarray(ours["fc"]["bias"])))
        twin.q.weight.copy_(torch.tensor(np.asarray(ours["q"]["kernel"]).T.copy()))
        twin.q.bias.copy_(torch.tensor(np.asarray(ours["q"]["bias"])))
    return twin


def loss(net: NatureQ, target: NatureQ, s: Settings, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Huber loss of the one-step error (CleanRL: its mean square, which costs the same)."""
    obs, action, reward, done, next_obs = batch
    with torch.no_grad():
        aim = reward + s.discount * (1.0 - done) * target(next_obs.float()).max(1).values
    chosen = net(obs.float()).gather(1, action[:, None])[:, 0]
    return nn.functional.smooth_l1_loss(chosen, aim)


class Learner:
    """`update()` plays `num_steps` in every game of `pool`, and learns as often as they ask for; gives the seconds."""

    def __init__(self, net: NatureQ, target: NatureQ, pool: Any, settings: Settings) -> None:
        self.net, self.target, self.pool, self.s = net, target, pool, settings
        self.optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate, fused=True)
        self.obs = pool.reset()[0]
        self.games = len(self.obs)
        self.slots = settings.replay_size // self.games
        shape = (self.slots, self.games)
        self.kept = np.zeros((*shape, *self.obs.shape[1:]), np.uint8)
        self.action, self.reward, self.done = (np.zeros(shape, t) for t in (np.int64, np.float32, np.float32))
        self.count = self.learned = 0
        self.rng = np.random.default_rng(0)

    def update(self) -> float:
        begin = time.perf_counter()
        for _ in range(self.s.num_steps):
            self.step()
            for _ in range(self.games // self.s.learn_every):
                self.learn()
        return time.perf_counter() - begin

    @torch.no_grad()
    def choose(self) -> np.ndarray:
        best = self.net(torch.from_numpy(self.obs).float()).argmax(1).numpy()
        anything = self.rng.integers(0, self.net.q.out_features, self.games)
        return np.where(self.rng.random(self.games) < self.s.epsilon, anything, best).astype(np.int32)

    def step(self) -> None:
        action, slot = self.choose(), self.count % self.slots
        obs, reward, terminated, truncated, _ = self.pool.step(action)
        self.kept[slot], self.action[slot], self.reward[slot] = self.obs, action, np.sign(reward)
        self.done[slot] = terminated | truncated
        self.obs, self.count = obs, self.count + 1

    def learn(self) -> None:
        filled = min(self.count, self.slots)
        age = self.rng.integers(1, max(filled, 2), self.s.batch_size)  # the newest has no successor yet
        slot, game = (self.count - 1 - age) % self.slots, self.rng.integers(0, self.games, self.s.batch_size)
        after = (slot + 1) % self.slots
        parts = self.kept[slot, game], self.action[slot, game], self.reward[slot, game], self.done[slot, game]
        self.optimizer.zero_grad()
        loss(self.net, self.target, self.s, tuple(map(torch.from_numpy, (*parts, self.kept[after, game])))).backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        self.optimizer.step()
        self.learned += 1
        if self.learned % self.s.target_every == 0:
            self.target.load_state_dict(self.net.state_dict())
