"""How many environment steps a second does PPO train, against a CleanRL-style PyTorch loop, on the same two cores?

    python benchmarks/train_ppo.py [--env Breakout-v5] [--updates 9] [--without-native] [--quick]

Both: envpool with the `baselines` preset, 8 games x 128 steps, 4 minibatches, 4 epochs, Nature CNN, float32, equal
weights at the start, same allocator settings; checked first: equal loss and advantages on the same batch (else this
fails). After a warm-up they take turns, an update each. Prints one JSON line: steps/s (median, quartiles) of `ours` and
`peer`, the ratio ours / peer paired by round, and the seconds an update spends acting, in the games, and learning. Ours
is one compiled program: its parts are those of programs that only step, or only play, timed in the same turn, and
learning is the rest. `--without-native` adds a third side that takes turns with them: ours with XLA's products instead of
oneDNN's, as without the extra `native`. Needs the extra `bench`.
"""

import argparse
import functools
import json
import os
import statistics
from collections.abc import Callable
from typing import Any

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads

import jax
import jax.numpy as jnp
import numpy as np
import torch
from peers import ppo_torch
from peers.nature_torch import Nature, copy_weights
from peers.pool import make_pool

from rljax_viz import envs, networks
from rljax_viz.agents import PPO, Transition, gae, make_train, rollout
from rljax_viz.agents.ppo import Sample, ppo_loss
from rljax_viz.transforms import fast_convs


class Ours:
    """Our training as `runs` compiles it, and the two programs that show its parts."""

    def __init__(self, config: PPO, env: envs.Env, net: Any) -> None:
        train = make_train(config, env, net)
        policy = jax.vmap(fast_convs(net.apply), (None, 0))

        def play(state, key):
            act = lambda obs: policy(state.params, obs)  # noqa: E731
            (env_state, timestep), taken, _ = rollout(
                env.step, act, state.env_state, state.timestep, key, config.num_steps
            )
            return state._replace(env_state=env_state, timestep=timestep), taken

        def step(state, key):
            def one(carry, key):
                return env.step(carry[0], jax.random.randint(key, (env.num_envs,), 0, env.num_actions)), None

            keys = jax.random.split(key, config.num_steps)
            (env_state, timestep), _ = jax.lax.scan(one, (state.env_state, state.timestep), keys)
            return state._replace(env_state=env_state, timestep=timestep), ()

        self._update = jax.jit(train.update, donate_argnums=0)
        self._play, self._step = (jax.jit(part, donate_argnums=0) for part in (play, step))
        self.state = jax.jit(train.init)(jax.random.key(0))
        self.params = jax.tree.map(np.array, self.state.params)  # copies: the state is donated
        self._key = jax.random.key(1)

    def _timed(self, program: Any) -> float:
        self._key, key = jax.random.split(self._key)

        def call() -> None:
            self.state, _ = jax.block_until_ready(program(self.state, key))

        return fair.seconds(call)

    def update(self) -> dict[str, float]:
        """Seconds of an update, and of its parts."""
        whole = self._timed(lambda state, key: self._update(state))
        play, env = self._timed(self._play), self._timed(self._step)
        return {"whole": whole, "acting": play - env, "env": env, "learning": whole - play}


def check(config: PPO, settings: ppo_torch.Settings, params: Any, net: Any, twin: Nature) -> float:
    """The largest difference between the two sides' losses and advantages on one made-up batch."""
    rng = np.random.default_rng(0)
    t, b = 8, 4
    obs = rng.integers(0, 256, (t * b, 84, 84, 4), np.uint8)
    floats = {k: rng.normal(size=(t, b)).astype(np.float32) for k in ("reward", "value", "advantage", "target")}
    done, last = rng.random((t, b)) < 0.2, rng.normal(size=b).astype(np.float32)
    action, log_prob = rng.integers(0, net.num_actions, t * b), np.log(rng.uniform(0.2, 0.3, t * b)).astype(np.float32)
    flat = {k: x.reshape(-1) for k, x in floats.items()}
    ones = np.ones(t * b, bool)
    taken = Transition(obs, jnp.asarray(action), flat["reward"], ~ones, ones, flat["value"], log_prob)
    policy = jax.vmap(net.apply, (None, 0))
    ours = ppo_loss(config, policy, params, Sample(taken, flat["advantage"], flat["target"]), jnp.float32(0.1))[0]
    batch = {"obs": obs.transpose(0, 3, 1, 2), "action": action, "log_prob": log_prob, **flat}
    with torch.no_grad():
        theirs = ppo_torch.loss(twin, settings, {k: torch.tensor(x) for k, x in batch.items()}, 0.1)
    worst = abs(float(ours) - float(theirs)) / abs(float(theirs))
    four = floats["reward"], floats["value"], done.astype(np.float32), last
    tensors = [torch.tensor(x) for x in four]
    advantage = ppo_torch.gae(*tensors, config.discount, config.gae_lambda).numpy()
    worst = max(worst, np.abs(advantage - gae(*map(jnp.asarray, four), config.discount, config.gae_lambda)).max())
    if not worst < 1e-4:
        raise SystemExit(f"the sides differ by {worst:.1e} on the same batch: they do not do the same work")
    return float(worst)


def without_native(make: Callable[[], Ours]) -> Ours:
    """`make()`, all its programs compiled while oneDNN is switched off; they keep the forms they were traced in."""
    os.environ["RLJAX_VIZ_NATIVE"] = "0"
    try:
        learner = make()
        learner.update()
    finally:
        del os.environ["RLJAX_VIZ_NATIVE"]
    return learner


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--env", default="Breakout-v5", help="any Atari game of envpool")
    parser.add_argument("--updates", type=int, default=9)
    parser.add_argument("--without-native", action="store_true", help="ours without oneDNN as a third side")
    parser.add_argument("--quick", action="store_true", help="two updates of 8 steps: only shows that it runs")
    args = parser.parse_args()
    updates, num_steps, warm = (2, 8, 1) if args.quick else (args.updates, 128, 2)
    torch.set_num_threads(2)
    torch.manual_seed(0)
    env = envs.make(args.env, 8)
    net = networks.make("nature", env.num_actions)
    frames = num_steps * env.num_envs
    config = PPO(num_steps=num_steps)  # annealed over ten million steps: hardly, within these few updates
    settings = ppo_torch.Settings(config.steps // frames, num_steps)
    ours = Ours(config, env, net)
    twin = copy_weights(Nature(env.num_actions), ours.params)
    differ = check(config, settings, ours.params, net, twin)
    peer = ppo_torch.Learner(twin, make_pool(env), settings)
    learners: dict[str, Any] = {"ours": ours, "peer": peer}
    if args.without_native:
        learners["without_native"] = without_native(lambda: Ours(config, envs.make(args.env, 8), net))
    parts: dict[str, list[dict[str, float]]] = {side: [] for side in learners}

    def turn(side: str, learner: Any) -> float:
        took = learner.update()
        parts[side].append(took)
        return frames / (took["whole"] if "whole" in took else sum(took.values()))

    sides = {side: functools.partial(turn, side, learner) for side, learner in learners.items()}
    fair.take_turns(sides, warm)
    speeds = fair.take_turns(sides, updates)

    def split(side: str) -> dict[str, float]:
        names = ("acting", "env", "learning")
        return {n: round(statistics.median(took[n] for took in parts[side][warm:]), 3) for n in names}

    found = {side: {**fair.spread(v), "seconds": split(side)} for side, v in speeds.items()}
    ratio = {f"ratio_{side}": fair.ratios(speeds["ours"], v) for side, v in speeds.items() if side != "ours"}
    row = {"env": args.env, "steps_per_update": frames, **found, **ratio, "differ": float(f"{differ:.1e}")}
    print(json.dumps({**row, "updates": updates}))


if __name__ == "__main__":
    main()
