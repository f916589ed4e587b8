"""How many environment steps a second does a learner of q-values train, against a CleanRL-style PyTorch loop?

    python benchmarks/train_dqn.py [--algo dqn] [--env Breakout-v5] [--updates 9] [--steps 128] [--channels-last]

`--algo`: dqn, double-dqn, dddqn, drqn, darqn, split-attention, idqn, each with the network, the view of the game and the
settings it has by name; a memory of 20,000 steps. Both sides on the same two cores: envpool with the same preset, 8 games,
gradient steps and batches alike (one for every 4 steps played), float32, equal weights at the start, same allocator
settings; checked first: equal loss and gradient on the same batch (else this fails). After a warm-up they take turns, an
update of 8 games x `--steps` each (learners from windows need minutes for 128). Prints one JSON line: steps/s (median,
quartiles) of `ours` and `peer`, and the ratio ours / peer paired by round. `--channels-last` is PyTorch's other memory
layout for the peer's convolutions: which one is faster depends on the machine. Needs the extra `bench`.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads

import jax
import numpy as np
import torch
from peers import dqn_torch, drqn_torch, equal, idqn_torch, q_torch, split_torch
from peers.layers_torch import copy
from peers.pool import make_pool

from rljax_viz import networks
from rljax_viz.agents import find_algorithm
from rljax_viz.runs import make_config


class Peer(NamedTuple):
    """`make(num_actions, stack)` a network, `fill(net, params)` our weights in it, a loss, a loop, a check."""

    make: Callable
    fill: Callable = copy
    loss: Callable = dqn_torch.loss
    learner: Callable = q_torch.Learner
    check: Callable = equal.transitions


_WINDOWS = {"loss": drqn_torch.loss, "learner": drqn_torch.WindowLearner, "check": equal.windows}
PEERS = {
    "dqn": Peer(dqn_torch.NatureQ),
    "double-dqn": Peer(dqn_torch.NatureQ),
    "dddqn": Peer(dqn_torch.NatureDueling),
    "drqn": Peer(drqn_torch.DRQN, **_WINDOWS),
    "darqn": Peer(drqn_torch.DARQN, **_WINDOWS),
    "split-attention": Peer(split_torch.SplitAttention, split_torch.copy_split),
    "idqn": Peer(idqn_torch.IDQN, idqn_torch.copy_idqn, idqn_torch.loss, idqn_torch.KeysLearner),
}


def settings(algo: str, env_id: str, num_steps: int) -> Any:
    """The `RunConfig` of both sides: learning from the first steps on, a tenth of random actions."""
    known = find_algorithm(algo).config
    exploration: dict[str, Any] = {"epsilon_start": 0.1, "epsilon_end": 0.1} if hasattr(known, "epsilon_start") else {}
    start = 8 * max(8, getattr(known, "window", 1))
    return make_config(env_id, algo, num_steps=num_steps, replay_size=20_000, learn_start=start, **exploration)


def make_twins(algo: str, config: Any, network: Any, params: Any) -> tuple[Any, Any, float]:
    """`(net, target, difference)`: PyTorch's networks with our weights, after the check of equal work."""
    peer, stack = PEERS[algo], config.preset.stack
    net, target = (peer.make(network.num_actions, stack) for _ in range(2))
    case = equal.Case(config.algorithm, network, params, net, peer.fill, peer.loss, target)
    differ = peer.check(case, stack)
    return peer.fill(net, params), peer.fill(target, params), differ


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--algo", choices=PEERS, default="dqn")
    parser.add_argument("--env", default="Breakout-v5", help="any Atari game of envpool")
    parser.add_argument("--updates", type=int, default=9)
    parser.add_argument("--steps", type=int, default=128, help="of each game in one update")
    parser.add_argument("--channels-last", action="store_true", help="the memory layout of the peer's convolutions")
    parser.add_argument("--quick", action="store_true", help="two updates of 16 steps: only shows that it runs")
    args = parser.parse_args()
    updates, num_steps = (2, 16) if args.quick else (args.updates, args.steps)
    torch.set_num_threads(2)
    torch.manual_seed(0)
    config = settings(args.algo, args.env, num_steps)
    env = config.env()
    network = networks.make(config.network, env.num_actions, **config.network_options)
    frames = num_steps * env.num_envs
    train = find_algorithm(args.algo).make_train(config.algorithm, env, network)
    update = jax.jit(train.update, donate_argnums=0)
    state = [jax.jit(train.init)(jax.random.key(0))]
    params = jax.tree.map(np.array, state[0].params)  # copies: the state is donated
    *twins, differ = make_twins(args.algo, config, network, params)
    if args.channels_last:
        twins = [twin.to(memory_format=torch.channels_last) for twin in twins]
    peer_type = PEERS[args.algo]
    peer = peer_type.learner(*twins, peer_type.loss, make_pool(env), config.algorithm, env.preset.clip_reward)

    def ours() -> float:
        def call() -> None:
            state[0], _ = jax.block_until_ready(update(state[0]))

        return frames / fair.seconds(call)

    sides = {"ours": ours, "peer": lambda: frames / peer.update()}
    fair.take_turns(sides, 1 if args.quick else 2)
    speeds = fair.take_turns(sides, updates)
    found = {side: fair.spread(v) for side, v in speeds.items()}
    ratio = fair.ratios(speeds["ours"], speeds["peer"])
    row = {"algo": args.algo, "env": args.env, "steps_per_update": frames, **found, "ratio": ratio}
    print(json.dumps({**row, "differ": float(f"{differ:.1e}"), "channels_last": args.channels_last, "updates": updates}))


if __name__ == "__main__":
    main()
