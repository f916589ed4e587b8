"""The loop of all learners of q-values, as CleanRL's `dqn_atari.py` writes it: one process, plain PyTorch, whole stacks in a
numpy memory.

Where CleanRL leaves time lying, this does not: games step together in envpool, the optimiser is fused. As there, the step
on which envpool only resets a game is learned from like any other. `config` is our own dataclass: both sides read the same.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn


class Learner:
    """`update()` plays `num_steps` in every game of `pool`, and learns as often as they ask for; gives the seconds.

    `net(obs)` gives q[N A], `loss(net, target, config, batch)` a scalar. What differs elsewhere is a method.
    """

    def __init__(self, net: Any, target: Any, loss: Callable, pool: Any, config: Any, clip_reward: bool) -> None:
        self.net, self.target, self.loss, self.pool, self.s = net, target, loss, pool, config
        learned = [p for p in net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(learned, lr=config.learning_rate, eps=config.adam_eps, fused=True)
        self.reward_of: Callable = np.sign if clip_reward else np.asarray
        self.obs = pool.reset()[0]
        self.games = len(self.obs)
        self.slots = config.replay_size // self.games
        shape = (self.slots, self.games)
        self.kept = np.zeros((*shape, *self.obs.shape[1:]), np.uint8)
        self.action, self.reward, self.done = (np.zeros(shape, t) for t in (np.int64, np.float32, np.float32))
        self.count = self.learned = 0
        self.rng = np.random.default_rng(0)

    def update(self) -> float:
        begin = time.perf_counter()
        for _ in range(self.s.num_steps):
            self.step()
            if self.count * self.games >= self.s.learn_start:
                for _ in range(self.games // self.s.learn_every):
                    self.learn()
        return time.perf_counter() - begin

    def step(self) -> None:
        with torch.no_grad():
            action, slot = self.choose(torch.from_numpy(self.obs).float()), self.count % self.slots
        obs, reward, terminated, truncated, _ = self.pool.step(action)
        self.kept[slot], self.action[slot], self.reward[slot] = self.obs, action, self.reward_of(reward)
        self.done[slot] = terminated | truncated
        self.obs, self.count = obs, self.count + 1

    def choose(self, obs: torch.Tensor) -> np.ndarray:
        return self.explore(self.net(obs))

    def explore(self, q: torch.Tensor) -> np.ndarray:
        """The best action of q[B A], or any."""
        anything = self.rng.integers(0, q.shape[1], self.games)
        chance = self.rng.random(self.games) < self.s.epsilon_start
        return np.where(chance, anything, q.argmax(1).numpy()).astype(np.int32)

    def draw(self) -> tuple[np.ndarray, ...]:
        """obs, action, reward, done and what followed, of `batch_size` steps."""
        filled = min(self.count, self.slots)
        age = self.rng.integers(1, max(filled, 2), self.s.batch_size)  # the newest has no successor yet
        slot, game = (self.count - 1 - age) % self.slots, self.rng.integers(0, self.games, self.s.batch_size)
        after = (slot + 1) % self.slots
        parts = self.kept[slot, game], self.action[slot, game], self.reward[slot, game], self.done[slot, game]
        return *parts, self.kept[after, game]

    def learn(self) -> None:
        batch = tuple(map(torch.from_numpy, self.draw()))
        self.optimizer.zero_grad()
        self.loss(self.net, self.target, self.s, batch).backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.s.max_grad_norm)
        self.optimizer.step()
        self.learned += 1
        if self.learned % self.s.target_every == 0:
            self.target.load_state_dict(self.net.state_dict())
