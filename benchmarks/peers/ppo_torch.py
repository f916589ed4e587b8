"""PPO and A2C on envpool as CleanRL's `ppo_atari_envpool.py` and `ppo_atari_lstm.py` write it: one process, plain PyTorch,
channels first.

Where CleanRL leaves time lying, this does not: observations are kept as uint8, the optimiser is fused. As there, the step on
which envpool only resets a game is learned from like any other. `config` is our own dataclass: both sides read the same.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from .memory_torch import empty


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


def loss(policy: Callable, config: Any, batch: dict[str, torch.Tensor], clip: float) -> torch.Tensor:
    """Surrogate, value error, entropy, over a minibatch; `policy(obs)` gives logits and value. A2C clips nothing."""
    logits, value = policy(batch["obs"].float())
    policy_of = torch.distributions.Categorical(logits=logits, validate_args=False)
    ratio = (policy_of.log_prob(batch["action"]) - batch["log_prob"]).exp()
    advantage = batch["advantage"]
    if config.normalize_advantages:
        advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
    surrogate, error = ratio * advantage, (value - batch["target"]) ** 2
    if config.clip is not None:
        surrogate = torch.min(surrogate, ratio.clamp(1 - clip, 1 + clip) * advantage)
        near = batch["value"] + (value - batch["value"]).clamp(-clip, clip)
        error = torch.max(error, (near - batch["target"]) ** 2)
    entropy = policy_of.entropy().mean()
    return -surrogate.mean() + config.value_coef * 0.5 * error.mean() - config.entropy_coef * entropy


def total(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    """Seconds of several updates."""
    rows = list(parts)
    return {name: sum(row[name] for row in rows) for name in rows[0]}


class Learner:
    """`update()` plays `num_steps` in every game of `pool` and learns from them; gives the seconds of its parts."""

    def __init__(self, net: Any, pool: Any, config: Any) -> None:
        self.net, self.pool, self.s = net, pool, config
        self.optimizer = self.make_optimizer()
        self.obs = torch.from_numpy(pool.reset()[0])
        shape = (config.num_steps, len(self.obs))
        self.num_updates = config.steps // (shape[0] * shape[1])
        self.batch = {name: torch.zeros(shape) for name in ("log_prob", "reward", "done", "value")}
        self.batch["action"] = torch.zeros(shape, dtype=torch.int64)
        self.batch["obs"] = torch.zeros((*shape, *self.obs.shape[1:]), dtype=torch.uint8)
        self.updates = 0

    def make_optimizer(self) -> Any:
        learned = [p for p in self.net.parameters() if p.requires_grad]
        return torch.optim.Adam(learned, lr=self.s.learning_rate, eps=1e-5, fused=True)

    def update(self) -> dict[str, float]:
        start = time.perf_counter()
        env = self.play()
        played = time.perf_counter()
        self.learn(1.0 - self.updates / self.num_updates)
        self.updates += 1
        return {"acting": played - start - env, "env": env, "learning": time.perf_counter() - played}

    def step(self, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and values of the games as they stand."""
        return self.net(self.obs.float())

    @torch.no_grad()
    def play(self) -> float:
        """Fills the batch; gives the seconds that the games took."""
        env, kept = 0.0, self.batch
        for t in range(self.s.num_steps):
            kept["obs"][t] = self.obs
            logits, kept["value"][t] = self.step(t)
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

    def samples(self) -> dict[str, torch.Tensor]:
        """The batch with its advantages, [T B ...]."""
        with torch.no_grad():
            last_value = self.step(self.s.num_steps)[1]
        kept, s = self.batch, self.s
        advantage = gae(kept["reward"], kept["value"], kept["done"], last_value, s.discount, s.gae_lambda)
        return {**kept, "advantage": advantage, "target": advantage + kept["value"]}

    def anneal(self, left: float) -> float:
        """Sets the learning rate; gives what is left of the clipping."""
        self.optimizer.param_groups[0]["lr"] = left * self.s.learning_rate
        return left * (self.s.clip or 0.0)

    def learn(self, left: float) -> None:
        """From the batch; `left` of the learning rate and the clipping, 1 at the start."""
        clip = self.anneal(left)
        samples = {name: x.flatten(0, 1) for name, x in self.samples().items()}
        size = len(samples["action"])
        for _ in range(self.s.epochs):
            if self.s.num_minibatches == 1:
                self.descend(self.net, samples, clip)
                continue
            for part in torch.randperm(size).chunk(self.s.num_minibatches):
                self.descend(self.net, {name: x[part] for name, x in samples.items()}, clip)

    def descend(self, policy: Callable, batch: dict[str, torch.Tensor], clip: float) -> None:
        self.optimizer.zero_grad()
        loss(policy, self.s, batch, clip).backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.s.max_grad_norm)
        self.optimizer.step()


class RecurrentLearner(Learner):
    """With a memory: a minibatch is all steps of some games, from what they remembered when they were begun."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        games = len(self.obs)
        self.carry, self.fresh = empty(self.net.lstm, games), torch.ones(self.s.num_steps + 1, games, dtype=torch.bool)

    def step(self, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        if t == 0:
            self.begun = self.carry
        else:
            self.fresh[t] = self.batch["done"][t - 1] > 0
        logits, value, carry = self.net(self.obs.float(), self.carry, self.fresh[t : t + 1])
        if t < self.s.num_steps:  # the last one only asks for the value
            self.carry = carry
        return logits, value

    def learn(self, left: float) -> None:
        clip, samples = self.anneal(left), self.samples()
        for _ in range(self.s.epochs):
            for part in torch.randperm(len(self.obs)).chunk(self.s.num_minibatches):
                (h, c), fresh = self.begun, self.fresh[:-1, part]
                carry = h[part], c[part]
                policy = lambda obs, carry=carry, fresh=fresh: self.net(obs, carry, fresh)[:2]  # noqa: E731
                self.descend(policy, {name: x[:, part].flatten(0, 1) for name, x in samples.items()}, clip)
        self.fresh[0] = self.fresh[-1]
