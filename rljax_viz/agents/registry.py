"""Algorithms by name: to add one, copy ppo.py and add a line here."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from . import acktr, dqn, drqn, idqn
from .acktr import ACKTR
from .dqn import DOUBLE_DQN, DQN
from .drqn import DRQN
from .idqn import IDQN
from .ppo import A2C, PPO, make_train


@dataclass(frozen=True)
class Algorithm:
    """`config` holds the defaults, `make_train(config, env, network) -> Train` the algorithm.

    `networks`, `settings`, `num_envs` and `views` say what suits a kind of games ("atari", "minatar", "procgen", "other"):
    the network's name, changes of the config's fields, games at once, changes of the preset's fields. `bound` says that the
    algorithm is what it is by its network, so that none but those in `networks` fits.
    """

    config: Any
    make_train: Callable
    networks: dict[str, str] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    num_envs: dict[str, int] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    bound: bool = False

    def check_network(self, name: str, network: str) -> None:
        """Raises ValueError where the algorithm, called `name`, would not be what it is called with `network`."""
        fitting = sorted(set(self.networks.values()))
        if self.bound and network not in fitting:
            raise ValueError(
                f"--algo {name} is what it is by its network, and {network} is another: networks that fit are "
                f"{', '.join(fitting)} (--network)"
            )


_MINATAR = {"learning_rate": 5e-3, "clip": 0.2, "num_minibatches": 8}  # purejaxrl's
_PROCGEN = {  # Hilton et al. 2020
    "num_steps": 256, "num_minibatches": 8, "epochs": 3, "learning_rate": 5e-4, "clip": 0.2, "discount": 0.999,
    "anneal": False,
}  # fmt: skip
_MINATAR_Q = {"learning_rate": 2.5e-4, "learn_start": 5_000, "learn_every": 8, "target_every": 250}
_MINATAR_DRQN = {"learning_rate": 2.5e-4, "learn_start": 5_000, "learn_every": 16}
_MINATAR_WINDOW = {**_MINATAR_Q, "learn_every": 16}
_MINATAR_KEYS = {"learn_start": 5_000, "learn_every": 8, "target_every": 250, "replay_size": 50_000}
_WHOLE = {"clip_reward": False, "life_loss": False}  # FACTS I7
_ONE = {"stack": 1}  # the memory keeps what came before; the paper gives no number for A3C-LSTM, and 3 for A3C (FACTS R7)
_WINDOW = {"stack": 10}  # Rosynski et al. 2020, FACTS R7
_MANY = {"minatar": 64, "procgen": 64}
_WORKERS = {"atari": 16, "minatar": 64}
#: A3C's objective by synchronous updates of all games at once: no asynchrony, so an A2C of longer rollouts
A3C = replace(A2C, num_steps=20)


def _nets(atari: str, minatar: str) -> dict[str, str]:
    return {"atari": atari, "minatar": minatar}


ALGORITHMS: dict[str, Algorithm] = {
    "ppo": Algorithm(PPO(), make_train, settings={"minatar": _MINATAR, "procgen": _PROCGEN}, num_envs=_MANY),
    "a2c": Algorithm(A2C, make_train, num_envs={"minatar": 64}),
    "a3c": Algorithm(A3C, make_train, _nets("a3c", "minatar"), num_envs=_WORKERS, views={"atari": {"stack": 3}}),
    "a3c-lstm": Algorithm(
        A3C, make_train, _nets("a3c-lstm", "minatar-lstm"), num_envs=_WORKERS, views={"atari": _ONE}, bound=True
    ),
    "acktr": Algorithm(ACKTR(), acktr.make_train, num_envs={"atari": 32, "minatar": 64}),
    "dqn": Algorithm(DQN(), dqn.make_train, _nets("nature-q", "minatar-q"), {"minatar": _MINATAR_Q}),
    "double-dqn": Algorithm(DOUBLE_DQN, dqn.make_train, _nets("nature-q", "minatar-q"), {"minatar": _MINATAR_Q}),
    "dddqn": Algorithm(
        DOUBLE_DQN, dqn.make_train, _nets("nature-dueling", "minatar-dueling"), {"minatar": _MINATAR_Q}, bound=True
    ),
    "drqn": Algorithm(
        DRQN(), drqn.make_train, _nets("drqn", "minatar-drqn"), {"minatar": _MINATAR_DRQN}, views={"atari": _ONE}, bound=True
    ),
    "darqn": Algorithm(
        DRQN(), drqn.make_train, _nets("darqn", "minatar-darqn"), {"minatar": _MINATAR_DRQN}, views={"atari": _ONE},
        bound=True,
    ),
    "split-attention": Algorithm(
        DOUBLE_DQN, dqn.make_train, _nets("split-attention", "minatar-split-attention"), {"minatar": _MINATAR_WINDOW},
        views={"atari": _WINDOW, "minatar": _WINDOW}, bound=True,
    ),
    "idqn": Algorithm(
        IDQN(), idqn.make_train, _nets("idqn", "minatar-idqn"), {"minatar": _MINATAR_KEYS}, views={"atari": _WHOLE},
        bound=True,
    ),
}  # fmt: skip


def find_algorithm(name: str) -> Algorithm:
    """The entry of ALGORITHMS; ValueError with the nearest names for another one."""
    if name not in ALGORITHMS:
        near = difflib.get_close_matches(name, ALGORITHMS, 2, 0.4)
        hint = f"; near it: {near}" if near else ""
        raise ValueError(f"no algorithm {name!r}{hint}; there are {sorted(ALGORITHMS)}")
    return ALGORITHMS[name]
