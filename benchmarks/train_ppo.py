"""How many environment steps a second does an actor-critic train, against a CleanRL-style PyTorch loop?

    python benchmarks/train_ppo.py [--algo ppo] [--env Breakout-v5] [--updates 9] [--without-native] [--channels-last]

`--algo`: ppo, a2c, a3c, a3c-lstm, acktr, each with the network, the view, the games and the settings it has by name (ppo: 8
games x 128 steps, 4 minibatches, 4 epochs). Both sides on the same two cores: envpool with the same preset, float32, equal
weights at the start, same allocator settings; checked first: equal loss, gradient and advantages on the same batch (else
this fails). After a warm-up they take turns, about a thousand steps each: one update of ppo, several of the others. Prints
one JSON line: steps/s (median, quartiles) of `ours` and `peer`, the ratio ours / peer paired by round, and the seconds a
turn spends acting, in the games, and learning. Ours is one compiled program: its parts are those of programs that only
step, or only play, timed in the same turn, and learning is the rest. `--without-native` adds a third side that takes turns
with them: ours with XLA's products instead of oneDNN's, as without the extra `native`. `--channels-last` is PyTorch's other
memory layout for the peer's convolutions: which one is faster depends on the machine. Needs the extra `bench`.
"""

import argparse
import functools
import json
import os
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads

import jax
import numpy as np
import torch
from peers import a3c_torch, acktr_torch, equal, ppo_torch
from peers.layers_torch import copy
from peers.nature_torch import Nature, copy_weights
from peers.pool import make_pool

from rljax_viz import envs, networks
from rljax_viz.agents import emptied, find_algorithm, is_recurrent, rollout
from rljax_viz.runs import make_config
from rljax_viz.transforms import fast_convs


class Ours:
    """Our training as `runs` compiles it, and the two programs that show its parts; `repeat` updates a turn."""

    def __init__(self, algo: str, config: Any, env: envs.Env, net: Any, repeat: int) -> None:
        train = find_algorithm(algo).make_train(config, env, net)
        remembers = is_recurrent(net, env.obs_shape)
        policy = jax.vmap(fast_convs(net.apply), (None, 0, 0) if remembers else (None, 0))
        self.repeat = repeat

        def play(state, key):
            act = lambda obs: policy(state.params, obs)  # noqa: E731
            (env_state, timestep), taken, _ = rollout(
                env.step, act, state.env_state, state.timestep, key, config.num_steps
            )
            return state._replace(env_state=env_state, timestep=timestep), taken

        def play_remembering(state, key):
            def one(state, key):
                out = policy(state.params, state.timestep.obs, emptied(state.carry, state.fresh))
                env_state, moved = env.step(state.env_state, jax.random.categorical(key, out.logits))
                fresh = moved.done | ~moved.info.valid
                state = state._replace(env_state=env_state, timestep=moved, carry=out.carry, fresh=fresh)
                return state, (moved, out.value, out.logits)

            return jax.lax.scan(one, state, jax.random.split(key, config.num_steps))

        def step(state, key):
            def one(carry, key):
                return env.step(carry[0], jax.random.randint(key, (env.num_envs,), 0, env.num_actions)), None

            keys = jax.random.split(key, config.num_steps)
            (env_state, timestep), _ = jax.lax.scan(one, (state.env_state, state.timestep), keys)
            return state._replace(env_state=env_state, timestep=timestep), ()

        self._update = jax.jit(train.update, donate_argnums=0)
        self._play, self._step = (jax.jit(part, donate_argnums=0) for part in (play_remembering if remembers else play, step))
        self.state = jax.jit(train.init)(jax.random.key(0))
        self.params = jax.tree.map(np.array, self.state.params)  # copies: the state is donated
        self._key = jax.random.key(1)

    def _timed(self, program: Any) -> float:
        self._key, key = jax.random.split(self._key)

        def call() -> None:
            for _ in range(self.repeat):
                self.state, _ = jax.block_until_ready(program(self.state, key))

        return fair.seconds(call)

    def turn(self) -> dict[str, float]:
        """Seconds of a turn, and of its parts."""
        whole = self._timed(lambda state, key: self._update(state))
        play, env = self._timed(self._play), self._timed(self._step)
        return {"whole": whole, "acting": play - env, "env": env, "learning": whole - play}


class Peer(NamedTuple):
    """`make(num_actions, stack)` a network, `fill(net, params)` our weights in it, a loop, a check."""

    make: Callable
    fill: Callable = copy
    learner: Callable = ppo_torch.Learner
    check: Callable = equal.actor_critic


PEERS = {
    "ppo": Peer(lambda num_actions, stack: Nature(num_actions), copy_weights),
    "a2c": Peer(lambda num_actions, stack: Nature(num_actions), copy_weights),
    "a3c": Peer(a3c_torch.A3C),
    "a3c-lstm": Peer(a3c_torch.A3CLSTM, learner=ppo_torch.RecurrentLearner),
    "acktr": Peer(
        lambda num_actions, stack: Nature(num_actions), copy_weights, acktr_torch.Learner, equal.natural_steps
    ),
}


def settings(algo: str, env_id: str, **changes: Any) -> Any:
    """The `RunConfig` of both sides, by names."""
    return make_config(env_id, algo, **changes)


def make_twin(algo: str, config: Any, network: Any, params: Any) -> tuple[Any, float]:
    """`(net, difference)`: PyTorch's network with our weights, after the check of equal work."""
    peer, stack = PEERS[algo], config.preset.stack
    net = peer.make(network.num_actions, stack)
    case = equal.Case(config.algorithm, network, params, net, peer.fill, ppo_torch.loss)
    return net, peer.check(case, stack)


def without_native(make: Callable[[], Ours]) -> Ours:
    """`make()`, all its programs compiled while oneDNN is switched off; they keep the forms they were traced in."""
    os.environ["RLJAX_VIZ_NATIVE"] = "0"
    try:
        learner = make()
        learner.turn()
    finally:
        del os.environ["RLJAX_VIZ_NATIVE"]
    return learner


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--algo", choices=PEERS, default="ppo")
    parser.add_argument("--env", default="Breakout-v5", help="any Atari game of envpool")
    parser.add_argument("--updates", type=int, default=9, help="turns of each side")
    parser.add_argument("--channels-last", action="store_true", help="the memory layout of the peer's convolutions")
    parser.add_argument("--without-native", action="store_true", help="ours without oneDNN as a third side")
    parser.add_argument("--quick", action="store_true", help="two updates of 8 steps: only shows that it runs")
    args = parser.parse_args()
    updates, warm = (2, 1) if args.quick else (args.updates, 2)
    torch.set_num_threads(2)
    torch.manual_seed(0)
    config = settings(args.algo, args.env, **({"num_steps": 8} if args.quick else {}))
    # the learning rate is annealed over ten million steps: hardly, within these few updates
    env, algorithm = config.env(), config.algorithm
    net = networks.make(config.network, env.num_actions, **config.network_options)
    per_update = algorithm.num_steps * env.num_envs
    repeat = 1 if args.quick else max(1, round(1024 / per_update))
    frames = repeat * per_update
    ours = Ours(args.algo, algorithm, env, net, repeat)
    twin, differ = make_twin(args.algo, config, net, ours.params)
    if args.channels_last:
        twin = twin.to(memory_format=torch.channels_last)
    peer = PEERS[args.algo].learner(twin, make_pool(env), algorithm)
    learners: dict[str, Any] = {"ours": ours, "peer": peer}
    if args.without_native:
        learners["without_native"] = without_native(lambda: Ours(args.algo, algorithm, config.env(), net, repeat))
    parts: dict[str, list[dict[str, float]]] = {side: [] for side in learners}

    def turn(side: str, learner: Any) -> float:
        took = learner.turn() if side != "peer" else ppo_torch.total(learner.update() for _ in range(repeat))
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
    row = {"algo": args.algo, "env": args.env, "steps_per_update": per_update, "steps_per_turn": frames, **found, **ratio}
    print(json.dumps({**row, "differ": float(f"{differ:.1e}"), "channels_last": args.channels_last, "updates": updates}))


if __name__ == "__main__":
    main()
