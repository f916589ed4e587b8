"""One algorithm, one readable file; what all of them share stands in small files beside."""

from .acktr import ACKTR, ACKTRMetrics, ACKTRState
from .advantages import gae
from .dqn import DOUBLE_DQN, DQN, act, td_target
from .drqn import DRQN, drqn_loss
from .idqn import IDQN, diversity_over_actions, diversity_over_batch, idqn_loss, project, upper_bound
from .minibatches import minibatches
from .ppo import A2C, PPO, Metrics, TrainState, make_train
from .priorities import Priorities, draw, importance, make_priorities, put
from .q_learning import QLearning, QMetrics, QState
from .recurrent_ppo import emptied, is_recurrent
from .registry import ALGORITHMS, Algorithm, find_algorithm
from .replay import Batch, Replay, Windows, make_replay, sample, sample_windows
from .rollout import Transition, rollout
from .train import Train, train

__all__ = [
    "A2C",
    "ACKTR",
    "ALGORITHMS",
    "DOUBLE_DQN",
    "DQN",
    "DRQN",
    "IDQN",
    "PPO",
    "ACKTRMetrics",
    "ACKTRState",
    "Algorithm",
    "Batch",
    "Metrics",
    "Priorities",
    "QLearning",
    "QMetrics",
    "QState",
    "Replay",
    "Train",
    "TrainState",
    "Transition",
    "Windows",
    "act",
    "diversity_over_actions",
    "diversity_over_batch",
    "draw",
    "drqn_loss",
    "emptied",
    "find_algorithm",
    "gae",
    "idqn_loss",
    "importance",
    "is_recurrent",
    "make_priorities",
    "make_replay",
    "make_train",
    "minibatches",
    "project",
    "put",
    "rollout",
    "sample",
    "sample_windows",
    "td_target",
    "train",
    "upper_bound",
]
