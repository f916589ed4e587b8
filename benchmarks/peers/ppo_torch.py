"""PPO on envpool as CleanRL's `ppo_atari_envpool.py` writes it: one process, plain PyTorch, channels first.

Where CleanRL leaves time lying, this does not: observations are kept as uint8, the optimiser is fused. As there, the step on
which envpool only resets a game is learned from like any other.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from .nature_torch import Nature


@dataclass(frozen=True)
class Settings:
    """Those of OpenAI Baselines for Atari."""

    num_updates: int
    num_steps: int = 128
    num_minibatches: int = 4
    epochs: int = 4
    learning_rate: float = 2.5e-4
    clip: float = 0.1
    discount: float = 0.99
    gae_lambda: float = 0.95
    entropy_coef: float = 0.01
    value_coef: float = 0.5
    max_grad_norm: float = 0.5


def gae(reward, value, done, last_value, discount: float, lam: float) -> torch.Tensor:
    """Advantages `[T B]`; `done[t]` says that the episode ended with step t."""
    advantage = torch.zeros_like(reward)
    following, next_value = torch.zeros_like(last_value), last_value
    for t in reversed(range(len(reward))):
        going_on = 1.0 - done[t]
        delta = reward[t] + discount * next_value * going_on - value[t]
        advantage[t] = following = delta + discount * lam * going_on * following
        next_value = value[t]
    return advantage


def loss(net: Nature, s: Settings, batch: dict[str, torch.Tensor], clip: float) -> torch.Tensor:
    """Clipped surrogate, clipped value error, entropy, over a minibatch."""
    logits, value = net(batch["obs"].float())
    policy = torch.distributions.Categorical(logits=logits, validate_args=False)
    ratio = (policy.log_prob(batch["action"]) - batch["log_prob"]).exp()
    advantage = batch["advantage"]
    advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
    surrogate = torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    near = batch["value"] + (value - batch["value"]).clamp(-clip, clip)
    error = torch.max((value - batch["target"]) ** 2, (near - batch["target"]) ** 2)
    return -surrogate.mean() + s.value_coef * 0.5 * error.mean() - s.entropy_coef * policy.entropy().mean()


class Learner:
    """`update()` plays `num_steps` in every game of `pool` and learns from them; gives the seconds of its parts."""

    def __init__(self, net: Nature, pool: Any, settings: Settings) -> None:
        self.net, self.pool, self.s = net, pool, settings
        self.optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate, eps=1e-5, fused=True)
        self.obs = torch.from_numpy(pool.reset()[0])
        shape = (settings.num_steps, len(self.obs))
        self.batch = {name: torch.zeros(shape) for name in ("log_prob", "reward", "done", "value")}
        self.batch["action"] = torch.zeros(shape, dtype=torch.int64)
        self.batch["obs"] = torch.zeros((*shape, *self.obs.shape[1:]), dtype=torch.uint8)
        self.updates = 0

    def update(self) -> dict[str, float]:
        remaining = 1.0 - self.updates / self.s.num_updates
        self.optimizer.param_groups[0]["lr"] = remaining * self.s.learning_rate
        start = time.perf_counter()
        env = self.play()
        played = time.perf_counter()
        self.learn(remaining * self.s.clip)
        self.updates += 1
        return {"acting": played - start - env, "env": env, "learning": time.perf_counter() - played}

    @torch.no_grad()
    def play(self) -> float:
        """Fills the batch; gives the seconds that the games took."""
        env, kept = 0.0, self.batch
        for t in range(self.s.num_steps):
            kept["obs"][t] = self.obs
            logits, kept["value"][t] = self.net(self.obs.float())
            policy = torch.distributions.Categorical(logits=logits, validate_args=False)
            action = policy.sample()
            kept["action"][t], kept["log_prob"][t] = action, policy.log_prob(action)
            numbers = action.numpy().astype(np.int32)
            start = time.perf_counter()
            obs, reward, terminated, truncated, _ = self.pool.step(numbers)
            env += time.perf_counter() - start
            self.obs = torch.from_numpy(obs)
            kept["reward"][t] = torch.from_numpy(np.sign(reward))
            kept["done"][t] = torch.from_numpy(terminated | truncated)
        return env

    def learn(self, clip: float) -> None:
        with torch.no_grad():
            last_value = self.net(self.obs.float())[1]
        kept, s = self.batch, self.s
        advantage = gae(kept["reward"], kept["value"], kept["done"], last_value, s.discount, s.gae_lambda)
        samples = {**kept, "advantage": advantage, "target": advantage + kept["value"]}
        samples = {name: x.flatten(0, 1) for name, x in samples.items()}
        for _ in range(s.epochs):
            for part in torch.randperm(len(samples["action"])).chunk(s.num_minibatches):
                self.optimizer.zero_grad()
                loss(self.net, s, {name: x[part] for name, x in samples.items()}, clip).backward()
                nn.utils.clip_grad_norm_(self.net.parameters(), s.max_grad_norm)
                self.optimizer.step()
