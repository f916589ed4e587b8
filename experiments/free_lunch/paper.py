"""What Nikulin et al. 2019 print, and which networks here are meant: the fifteen models of Tables 2-5."""

from typing import NamedTuple

GAMES = ("BeamRider", "Breakout", "Enduro", "MsPacman", "Seaquest", "SpaceInvaders")
SEEDS = (1, 9, 17, 25, 33)  # of their code
STEPS = 50_000_000


def most_steps(game: str) -> int:
    """The agent's steps after which a game of the evaluation ends; in their code after the frames are skipped."""
    return 30_000 if game.startswith("Breakout") else 108_000



class Model(NamedTuple):
    """`label` in the paper, the network's name here, that of its twin for MinAtar (None where there is none)."""

    label: str
    network: str
    twin: str | None


MODELS = (
    Model("Nature CNN", "nature", "minatar-sparse"),
    Model("DAQN", "daqn", "minatar-daqn"),
    Model("RS-PPO", "rs", "minatar-rs"),
    Model("RS-PPO w/o padding", "rs-no-padding", None),  # the twin of RS-PPO has no padding
    Model("Sparse FLS", "sparse-fls", "minatar-fls"),
    Model("Sparse FLS + sum-pooling", "sparse-fls-sum-pool", "minatar-fls-sum-pool"),
    Model("Sparse FLS + norm", "sparse-fls-norm", "minatar-fls-norm"),
    Model("Sparse FLS w/ 1x1 convs", "sparse-fls-1x1", "minatar-fls-1x1"),
    Model("Sparse FLS w/ SoftPlus2", "sparse-fls-softplus2", "minatar-fls-softplus2"),
    Model("Sparse FLS w/o final ReLU", "sparse-fls-no-relu", "minatar-fls-no-relu"),
    Model("Sparse FLS w/o final ReLU + SP", "sparse-fls-no-relu-sum-pool", "minatar-fls-no-relu-sum-pool"),
    Model("Sparse + FLS after first conv layer", "sparse-fls-conv1", "minatar-fls-conv1"),
    Model("Sparse + FLS after each conv layer", "sparse-fls-each-conv", "minatar-fls-each-conv"),
    Model("Dense FLS + sum-pooling", "dense-fls-sum-pool", "minatar-dense-fls-sum-pool"),
    Model("Dense FLS w/o final ReLU + SP", "dense-fls-no-relu-sum-pool", "minatar-dense-fls-no-relu-sum-pool"),
)

#: Table 2: parameters with 84x84x4 and 4 actions
SIZES = {
    "nature": 1_686_693, "daqn": 130_726, "rs": 1_720_999, "sparse-fls": 1_836_710, "sparse-fls-sum-pool": 263_846,
    "dense-fls-sum-pool": 280_358, "sparse-fls-conv1": 1_762_982, "sparse-fls-each-conv": 2_063_016,
}  # fmt: skip

#: Table 3: mean score by game, in the order of GAMES
SCORES = {
    "nature": (6949, 618, 3808, 4874, 1920, 3867),
    "daqn": (701, 601, 2182, 3111, 1453, 2096),
    "rs": (583, 605, 3851, 3943, 1670, 2562),
    "rs-no-padding": (823, 591, 3658, 3950, 1710, 2248),
    "sparse-fls": (6634, 624, 5094, 5421, 2440, 9359),
    "sparse-fls-sum-pool": (3356, 520, 1917, 4317, 1150, 1847),
    "sparse-fls-norm": (6584, 598, 4524, 3409, 1161, 11206),
    "sparse-fls-1x1": (6870, 621, 4701, 4887, 2252, 5673),
    "sparse-fls-softplus2": (6697, 612, 4854, 5242, 1908, 6443),
    "sparse-fls-no-relu": (6777, 589, 4814, 5049, 2013, 2929),
    "sparse-fls-no-relu-sum-pool": (1057, 480, 2093, 3365, 2356, 1999),
    "sparse-fls-conv1": (7468, 640, 4942, 4720, 2181, 9395),
    "sparse-fls-each-conv": (6588, 633, 5950, 4978, 2083, 2855),
    "dense-fls-sum-pool": (866, 532, 2114, 4977, 1368, 1549),
    "dense-fls-no-relu-sum-pool": (730, 503, 1292, 4879, 10052, 1316),
}

GAZE_GAMES = ("Breakout", "Enduro", "MsPacman", "Seaquest", "SpaceInvaders")
#: Table 4: (NSS, KL divergence, shuffled AUC) by game, in the order of GAZE_GAMES
GAZE = {
    "daqn": ((1.344, 0.586, 0.881, 0.334, 1.899), (2.885, 4.025, 3.364, 4.418, 2.880), (0.758, 0.527, 0.604, 0.502, 0.679)),
    "rs": ((0.947, 0.922, 0.943, 0.955, 1.775), (3.209, 3.368, 3.325, 3.294, 2.979), (0.654, 0.552, 0.629, 0.629, 0.678)),
    "sparse-fls": (
        (0.510, 1.588, 0.631, 0.556, 1.664), (3.472, 3.180, 3.491, 3.492, 3.145), (0.530, 0.530, 0.520, 0.453, 0.656)),
    "sparse-fls-sum-pool": (
        (0.747, 0.251, 0.621, 0.286, 1.569), (3.481, 4.752, 3.535, 4.281, 3.086), (0.612, 0.536, 0.524, 0.486, 0.660)),
    "dense-fls-sum-pool": (
        (1.385, 0.629, -0.136, 0.797, -0.230), (3.070, 3.453, 4.075, 3.553, 4.186), (0.698, 0.579, 0.610, 0.693, 0.419)),
}  # fmt: skip

#: Table 5: mean score on (Breakout, BreakoutInfinite)
INFINITE = {
    "nature": (618, 652), "daqn": (601, 622), "rs": (605, 625), "rs-no-padding": (591, 606), "sparse-fls": (624, 663),
    "sparse-fls-sum-pool": (520, 529), "sparse-fls-norm": (598, 621), "sparse-fls-1x1": (621, 650),
    "sparse-fls-softplus2": (612, 641), "sparse-fls-no-relu": (589, 614), "sparse-fls-no-relu-sum-pool": (480, 484),
    "sparse-fls-conv1": (640, 689), "sparse-fls-each-conv": (633, 681), "dense-fls-sum-pool": (532, 534),
    "dense-fls-no-relu-sum-pool": (503, 506),
}  # fmt: skip

#: the six of figure 5, left to right
PICTURED = ("daqn", "rs", "sparse-fls", "dense-fls-sum-pool", "sparse-fls-conv1", "sparse-fls-each-conv")


def model_of(network: str) -> Model:
    """The model whose network, or whose twin, has this name."""
    return next(model for model in MODELS if network in (model.network, model.twin))
