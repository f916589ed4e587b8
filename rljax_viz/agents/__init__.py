"""One algorithm, one readable file; what all of them share stands in small files beside."""

from .advantages import gae
from .minibatches import minibatches
from .ppo import A2C, PPO, Metrics, TrainState, make_train
from .registry import ALGORITHMS, Algorithm, find_algorithm
from .rollout import Transition, rollout
from .train import Train, train

__all__ = [
    "A2C",
    "ALGORITHMS",
    "PPO",
    "Algorithm",
    "Metrics",
    "Train",
    "TrainState",
    "Transition",
    "find_algorithm",
    "gae",
    "make_train",
    "minibatches",
    "rollout",
    "train",
]
