"""Do both sides do the same work? Loss and gradient of each on one made-up batch, with equal weights.

The target network has other weights than the one that learns, so that no choice between them goes unseen. Each check
gives the larger of the two differences, relative; more than 1e-4 (of the loss) or 1e-3 (of the gradient's norm) is refused.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from rljax_viz.agents import Batch, Transition, Windows, drqn_loss, gae, idqn_loss, is_recurrent, kfac
from rljax_viz.agents.acktr import make_learn
from rljax_viz.agents.dqn import dqn_loss
from rljax_viz.agents.ppo import Sample, ppo_loss
from rljax_viz.agents.recurrent_ppo import Sequences, over_time, zero_carry
from rljax_viz.transforms import fast_convs

from . import acktr_torch, ppo_torch


class Case(NamedTuple):
    """What a check looks at: our settings, network and parameters; `fill` puts them into `net` and `target`."""

    config: Any
    network: Any
    params: Any
    net: Any
    fill: Callable
    loss: Callable
    target: Any = None


def compare(ours: Callable, given: tuple, theirs: Callable[[], torch.Tensor], net: Any) -> float:
    """The larger difference of `ours(*given)` and `theirs()`: of the losses, and of their gradients' norms.

    `given` begins with the parameters; what is not given is a constant, which XLA folds for minutes.
    """
    value, grads = jax.jit(jax.value_and_grad(ours))(*given)
    net.zero_grad()
    loss = theirs()
    loss.backward()
    # in float64: a norm of millions of numbers is itself off by 1e-4 in float32
    ours_norm = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in jax.tree.leaves(grads)))
    norm = torch.stack([p.grad.double().norm() for p in net.parameters() if p.grad is not None]).norm()
    net.zero_grad()
    apart = [abs(float(a) / float(b) - 1) for a, b in ((value, loss.detach()), (ours_norm, norm))]
    if not (apart[0] < 1e-4 and apart[1] < 1e-3):
        raise SystemExit(
            f"on the same batch the sides' losses differ by {apart[0]:.1e} and their gradients by {apart[1]:.1e}: "
            "they do not do the same work"
        )
    return max(apart)


def other(params: Any) -> Any:
    """Parameters for a target network; what is not trained stays."""
    return {**params, "params": jax.tree.map(lambda x: 0.9 * x, params["params"])}


def made_up(shape: tuple[int, ...], stack: int, num_actions: int) -> tuple[Any, ...]:
    """obs[... 84 84 stack], action, reward, done."""
    rng = np.random.default_rng(0)
    obs, reward = rng.integers(0, 256, (*shape, 84, 84, stack), np.uint8), rng.normal(size=shape).astype(np.float32)
    return obs, rng.integers(0, num_actions, shape), reward, rng.random(shape) < 0.3


def tensors(*arrays: Any) -> tuple[torch.Tensor, ...]:
    """Of arrays; frames, which are uint8, with their channels first."""
    first = lambda x: np.moveaxis(x, -1, -3) if x.dtype == np.uint8 else x  # noqa: E731
    return tuple(torch.from_numpy(np.ascontiguousarray(first(x))) for x in arrays)


def transitions(case: Case, stack: int) -> float:
    """Of learners from single steps."""
    obs, action, reward, done = made_up((4,), stack, case.network.num_actions)
    following, going_on, weight = obs[::-1].copy(), (1 - done).astype(np.float32), jnp.ones(4)
    batch = Batch(obs, action, reward, case.config.discount * going_on, following, weight, jnp.arange(4))
    loss = idqn_loss if hasattr(case.config, "diversity") else dqn_loss
    policy, target = jax.vmap(fast_convs(case.network.apply), (None, 0)), other(case.params)
    case.fill(case.net, case.params)
    case.fill(case.target, target)
    theirs = tensors(obs, action, reward, done.astype(np.float32), following)
    return compare(
        lambda *given: loss(case.config, policy, *given)[0], (case.params, target, batch),
        lambda: case.loss(case.net, case.target, case.config, theirs), case.net,
    )  # fmt: skip


def windows(case: Case, stack: int) -> float:
    """Of learners from windows of steps; in some of them an episode ends."""
    length, count = case.config.window, 3
    obs, action, reward, done = made_up((length, count), stack, case.network.num_actions)
    fresh: Any = np.concatenate([np.ones((1, count), bool), done[:-1]])
    seen = Windows(obs, action, reward, done, fresh, jnp.ones((length, count)))
    step, target = jax.vmap(fast_convs(case.network.apply), (None, 0, 0)), other(case.params)
    empty = zero_carry(case.network, case.params, obs[0, 0], count)
    case.fill(case.net, case.params)
    case.fill(case.target, target)
    theirs = tensors(obs, action, reward, done.astype(np.float32), fresh)
    return compare(
        lambda *given: drqn_loss(case.config, step, *given)[0], (case.params, target, seen, empty),
        lambda: case.loss(case.net, case.target, case.config, theirs), case.net,
    )  # fmt: skip


def actor_critic(case: Case, stack: int) -> float:
    """Of PPO and A2C; of networks with a memory over sequences in which episodes begin."""
    shape = length, games = 6, 4
    rng: Any = np.random.default_rng(1)
    obs, action, reward, done = made_up(shape, stack, case.network.num_actions)
    floats = {name: rng.normal(size=shape).astype(np.float32) for name in ("value", "advantage", "target")}
    floats["log_prob"] = np.log(rng.uniform(0.2, 0.3, shape)).astype(np.float32)
    flat: dict[str, Any] = {name: x.reshape(-1) for name, x in (*floats.items(), ("action", action), ("reward", reward))}
    fresh: Any = np.concatenate([np.zeros((1, games), bool), done[:-1]])
    frames, apply = obs.reshape(-1, *obs.shape[2:]), fast_convs(case.network.apply)
    theirs = {name: torch.from_numpy(x) for name, x in flat.items()}
    theirs["obs"] = tensors(frames)[0]
    policy: Any = jax.vmap(apply, (None, 0))
    seen: Any = frames
    twin = case.net
    if is_recurrent(case.network, obs.shape[2:]):
        carry = jax.tree.map(
            lambda x: rng.normal(size=x.shape).astype(np.float32), zero_carry(case.network, case.params, obs[0, 0], games)
        )
        step, seen = jax.vmap(apply, (None, 0, 0)), Sequences(obs, fresh, carry)
        policy = lambda params, seen: over_time(step, params, seen)  # noqa: E731
        c, h = map(torch.from_numpy, carry)
        twin = lambda x: case.net(x, (h, c), torch.from_numpy(fresh))[:2]  # noqa: E731
    zeros, ones = jnp.zeros(length * games, bool), jnp.ones(length * games, bool)
    taken = Transition(seen, flat["action"], flat["reward"], zeros, ones, flat["value"], flat["log_prob"])
    sample, clip = Sample(taken, flat["advantage"], flat["target"]), np.float32(case.config.clip or 0.0)
    case.fill(case.net, case.params)
    differ = compare(
        lambda *given: ppo_loss(case.config, policy, *given)[0], (case.params, sample, clip),
        lambda: case.loss(twin, case.config, theirs, float(clip)), case.net,
    )  # fmt: skip
    return max(differ, advantages(case.config, reward, floats["value"], done.astype(np.float32), floats["target"][0]))


def natural_steps(case: Case, stack: int) -> float:
    """Of ACKTR: the largest difference of both sides' weights after two steps, relative to the largest change.

    Both draw the same actions and values for their Fisher statistics.
    """
    count, rng = 16, np.random.default_rng(1)
    obs, action, reward, _ = made_up((count,), stack, case.network.num_actions)
    advantage, target = (rng.normal(size=count).astype(np.float32) for _ in range(2))
    policy: Any = jax.vmap(fast_convs(case.network.apply), (None, 0))
    layers = kfac.find_layers(case.network, case.params, obs[0])
    taken = Transition(obs, action, reward, jnp.zeros(count, bool), jnp.ones(count, bool), reward, reward)
    learn = jax.jit(make_learn(case.config, case.network, layers, policy))
    case.fill(case.net, case.params)
    theirs, state, params = acktr_torch.KFAC(case.net, case.config), kfac.init(layers, case.params), case.params
    before = torch.nn.utils.parameters_to_vector(case.net.parameters()).detach().clone()
    batch = {"obs": tensors(obs)[0], "action": torch.from_numpy(action)}
    batch |= {"advantage": torch.from_numpy(advantage), "target": torch.from_numpy(target)}
    for key in jax.random.split(jax.random.key(5), 2):
        key_action, key_value = jax.random.split(key)
        out = policy(params, obs)
        drawn = jax.random.categorical(key_action, out.logits), out.value + jax.random.normal(key_value, out.value.shape)
        fisher = torch.from_numpy(np.array(drawn[0], np.int64)), torch.from_numpy(np.array(drawn[1]))
        acktr_torch.learn(case.net, theirs, batch, 1.0, fisher)
        params, state, _ = learn(params, state, (taken, advantage, target), key, jnp.ones(()))
    moved = torch.nn.utils.parameters_to_vector(case.net.parameters()).detach().clone()
    case.fill(case.net, params)
    wanted = torch.nn.utils.parameters_to_vector(case.net.parameters()).detach()
    case.fill(case.net, case.params)
    apart = float((moved - wanted).abs().max() / (wanted - before).abs().max())
    if not apart < 1e-3:
        raise SystemExit(f"after two steps on the same batch the sides' weights differ by {apart:.1e} of the largest change")
    return apart


def advantages(config: Any, reward: Any, value: Any, done: Any, last: Any) -> float:
    """The largest difference of both sides' advantages, of reward, value, done and the last value."""
    reward_, value_, done_, last_ = map(torch.from_numpy, (reward, value, done, last))
    theirs = ppo_torch.gae(reward_, value_, done_, last_, config.discount, config.gae_lambda).numpy()
    apart = float(np.abs(theirs - gae(reward, value, jnp.asarray(done), last, config.discount, config.gae_lambda)).max())
    if not apart < 1e-4:
        raise SystemExit(f"the sides' advantages differ by {apart:.1e} on the same batch: they do not do the same work")
    return apart
