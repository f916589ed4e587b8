"""How many environment steps a second does DQN train, against a CleanRL-style PyTorch loop, on the same two cores?

    python benchmarks/train_dqn.py [--env Breakout-v5] [--updates 9] [--quick]

Both: envpool with the `baselines` preset, 8 games, one gradient step on 32 transitions for every 4 steps played, Nature
CNN with q, float32, equal weights at the start, same allocator settings; checked first: equal loss on the same batch (else
this fails). After a warm-up they take turns, an update of 8 x 128 steps each. Prints one JSON line: steps/s (median,
quartiles) of `ours` and `peer`, and the ratio ours / peer paired by round. Needs the extra `bench`.
"""

import argparse
import json
from typing import Any

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads

import jax
import jax.numpy as jnp
import numpy as np
import torch
from peers import dqn_torch
from peers.pool import make_pool

from rljax_viz import envs, networks
from rljax_viz.agents import ALGORITHMS, DQN, Batch
from rljax_viz.agents.dqn import dqn_loss


def check(net: Any, params: Any, twin: dqn_torch.NatureQ, settings: dqn_torch.Settings) -> float:
    """The difference of both sides' losses on one made-up batch, in parts of the loss."""
    rng, n = np.random.default_rng(0), 16
    obs, following = rng.integers(0, 256, (2, n, 84, 84, 4), np.uint8)
    action, done = rng.integers(0, net.num_actions, n), (rng.random(n) < 0.3).astype(np.float32)
    reward = rng.normal(size=n).astype(np.float32)
    batch = Batch(obs, jnp.asarray(action), reward, settings.discount * (1 - done), following, jnp.ones(n), None)
    ours = float(dqn_loss(DQN(), jax.vmap(net.apply, (None, 0)), params, params, batch)[0])
    theirs = tuple(map(torch.tensor, (obs.transpose(0, 3, 1, 2), action, reward, done, following.transpose(0, 3, 1, 2))))
    with torch.no_grad():
        peer = float(dqn_torch.loss(twin, twin, settings, theirs))
    if not abs(ours - peer) < 1e-4 * abs(peer):
        raise SystemExit(f"the sides' losses are {ours} and {peer} on the same batch: they do not do the same work")
    return abs(ours - peer) / abs(peer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--env", default="Breakout-v5", help="any Atari game of envpool")
    parser.add_argument("--updates", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="two updates of 8 steps: only shows that it runs")
    args = parser.parse_args()
    updates, num_steps = (2, 8) if args.quick else (args.updates, 128)
    torch.set_num_threads(2)
    torch.manual_seed(0)
    env = envs.make(args.env, 8)
    net = networks.make("nature-q", env.num_actions)
    frames, size = num_steps * env.num_envs, 20_000
    config = DQN(num_steps=num_steps, replay_size=size, learn_start=64, epsilon_start=0.1, epsilon_end=0.1)
    settings = dqn_torch.Settings(size, num_steps, config.learn_every, config.batch_size, config.target_every)
    train = ALGORITHMS["dqn"].make_train(config, env, net)
    update = jax.jit(train.update, donate_argnums=0)
    state = [jax.jit(train.init)(jax.random.key(0))]
    params = jax.tree.map(np.array, state[0].params)  # copies: the state is donated
    twins = [dqn_torch.copy_q(dqn_torch.NatureQ(env.num_actions), params) for _ in range(2)]
    differ = check(net, params, twins[0], settings)
    peer = dqn_torch.Learner(*twins, make_pool(env), settings)

    def ours() -> float:
        def call() -> None:
            state[0], _ = jax.block_until_ready(update(state[0]))

        return frames / fair.seconds(call)

    sides = {"ours": ours, "peer": lambda: frames / peer.update()}
    fair.take_turns(sides, 1 if args.quick else 2)
    speeds = fair.take_turns(sides, updates)
    found = {side: fair.spread(v) for side, v in speeds.items()}
    ratio = fair.ratios(speeds["ours"], speeds["peer"])
    row = {"env": args.env, "steps_per_update": frames, **found, "ratio": ratio, "differ": float(f"{differ:.1e}")}
    print(json.dumps({**row, "updates": updates}))


if __name__ == "__main__":
    main()
