"""One algorithm, one readable file; what all of them share stands in small files beside."""

from .advantages import gae
from .dqn import DOUBLE_DQN, DQN, DQNMetrics, DQNState, act, td_target
from .minibatches import minibatches
from .ppo import A2C, PPO, Metrics, TrainState, make_train
from .priorities import Priorities, draw, importance, make_priorities, put
from .registry import ALGORITHMS, Algorithm, find_algorithm
from .replay import Batch, Replay, Windows, make_replay, sample, sample_windows
from .rollout import Transition, rollout
from .train import Train, train

__all__ = [
    "A2C",
    "ALGORITHMS",
    "DOUBLE_DQN",
    "DQN",
    "PPO",
    "Algorithm",
    "Batch",
    "DQNMetrics",
    "DQNState",
    "Metrics",
    "Priorities",
    "Replay",
    "Train",
    "TrainState",
    "Transition",
    "Windows",
    "act",
    "draw",
    "find_algorithm",
    "gae",
    "importance",
    "make_priorities",
    "make_replay",
    "make_train",
    "minibatches",
    "put",
    "rollout",
    "sample",
    "sample_windows",
    "td_target",
    "train",
]
