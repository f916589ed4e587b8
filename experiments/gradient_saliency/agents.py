"""The paper's four kinds of agents (and PPO's of the zoo), as far as they can be trained here, and their recorded games.

Differs: the paper's games are gym's Breakout-v0 and Seaquest-v0 (2 to 4 frames an action, at random; one action in four is
repeated); here an action lasts four frames and none is repeated.
"""

from pathlib import Path
from typing import Any, NamedTuple

from experiments.scale import Experiment
from experiments.training import trained


class Kind(NamedTuple):
    """`label` in the paper; `algo` by its name in `agents.ALGORITHMS`, or `zoo`, an agent that ships; what it learns at
    smoke scale on MinAtar and (`atari`) on the real games, and on which games, how long and how at the paper's."""

    label: str
    algo: str | None
    zoo: str | None = None
    smoke: dict[str, Any] | None = None
    games: tuple[str, ...] = ("Breakout-v5", "Seaquest-v5")
    steps: int = 13_000_000
    atari: dict[str, Any] | None = None
    paper: dict[str, Any] | None = None


#: "after 325 episodes ... about 250 000 steps, and 75 % of them a random action": epsilon has half its way down behind it
EARLY_STEPS = 250_000
EXPLORING = {"epsilon_fraction": 2 * EARLY_STEPS / 13_000_000}
MINATAR = "Breakout-MinAtar"
_SMALL = {"steps": 200_000, "network": "minatar-sparse", "num_envs": 32, "num_steps": 64, "num_minibatches": 4}
_SHORT = {"steps": 51_200, "checkpoint_every": 16}  # 204,800 frames
_WORKERS = {"steps": 51_200, "checkpoint_every": 40}  # games begin anew at checkpoints, and an update is 20 steps of each
KINDS = {
    "ppo-atari": Kind("PPO, Nature CNN (ships; not in the paper)", None, "Breakout-v5", games=()),
    "ppo": Kind("PPO (not in the paper)", "ppo", None, {**_SMALL, "checkpoint_every": 8}, ()),
    "dddqn": Kind("DDDQN", "dddqn", None, {"steps": 200_000}, atari=_SHORT, paper=EXPLORING),
    "a3c": Kind("A3C (synchronous)", "a3c", None, {"steps": 200_000, "checkpoint_every": 64}, atari=_WORKERS),
    "a3c-lstm": Kind(
        "A3C with LSTM (synchronous)", "a3c-lstm", None, {"steps": 200_000, "checkpoint_every": 64}, ("Seaquest-v5",),
        atari=_WORKERS,
    ),
    "drqn": Kind("DRQN (not in the paper)", "drqn", None, {"steps": 50_000}, ()),
    "split-attention": Kind(
        "Split attention DDDRQN", "split-attention", None, {"steps": 50_000}, ("Seaquest-v5",), paper=EXPLORING
    ),
}  # fmt: skip
#: methods of Table 1, in its order
METHODS = ("gradient", "guided_backprop", "grad_cam", "guided_grad_cam", "g1_grad_cam", "g2_grad_cam")
GRADIENTS = ("gradient", "guided_backprop")
CAMS = ("grad_cam", "guided_grad_cam", "g1_grad_cam", "g2_grad_cam")


def available(at: Experiment) -> list[str]:
    """The kinds that can be had at this scale with the algorithms that are here."""
    from rljax_viz.agents import ALGORITHMS

    def can(kind: Kind) -> bool:
        known = kind.algo in ALGORITHMS
        return (at.smoke and kind.zoo is not None) or (known and bool(at.choose(kind.smoke, kind.games, kind.atari or {})))

    return [name for name, kind in KINDS.items() if can(kind)]


def missing(at: Experiment) -> list[str]:
    """Labels of the paper's kinds that cannot be had."""
    return [kind.label for name, kind in KINDS.items() if name not in available(at) and kind.games]


def run_of(at: Experiment, name: str, game: str = MINATAR, tiny: bool = False) -> Path:
    """The training of a kind, done once for all tables."""
    return trained(at.folder.parent / "agents" / f"{game}-{name}", config_of(at, name, game, tiny), at.say)


def config_of(at: Experiment, name: str, game: str, tiny: bool) -> Any:
    from rljax_viz.runs import make_config

    kind = KINDS[name]
    setting = dict(at.choose(kind.smoke, {"steps": kind.steps, **(kind.paper or {})}, kind.atari) or {})
    setting |= {"steps": at.choose(4096, 4096, 1024), "checkpoint_every": 1} if tiny else {}
    return make_config(game, kind.algo or "ppo", seed=1, **setting)


def early_run(at: Experiment, name: str, game: str, tiny: bool) -> tuple[Path, int]:
    """The agent of a kind when it has hardly begun, and after how many updates.

    At smoke scale that is the first checkpoint of its training. At the paper's, where checkpoints are far apart, the same
    training is done again for the paper's EARLY_STEPS.
    """
    from rljax_viz.runs import Checkpoints, make_loop

    config, run = config_of(at, name, game, tiny), run_of(at, name, game, tiny)
    loop = make_loop(config)
    if not at.smoke and not tiny:
        update = EARLY_STEPS // loop.steps_per_update
        return trained(run.with_name(f"{run.name}-early"), config, at.say, update), update
    checkpoints = Checkpoints(run, read_only=True, leave_out=loop.apart)
    first = checkpoints.updates()[0]
    checkpoints.close()
    return run, first


def agent_of(at: Experiment, name: str, game: str = MINATAR, tiny: bool = False) -> Any:
    """The agent of a kind on a game (the zoo's have one game of their own) at its end."""
    from rljax_viz.runs import load_agent

    kind = KINDS[name]
    return load_agent(f"zoo:{kind.zoo}" if kind.zoo else run_of(at, name, game, tiny))


def games_of(at: Experiment, name: str) -> tuple[str, ...]:
    kind = KINDS[name]
    return (str(kind.zoo),) if kind.zoo else at.choose((MINATAR,), kind.games, kind.games[:1])


def recorded(at: Experiment, name: str, game: str, steps: int, tiny: bool = False) -> Path:
    """The directory of `steps` steps of the agent's own play, recorded once."""
    from rljax_viz.runs import record

    folder = at.folder.parent / "recordings" / f"{game}-{name}-{steps}"
    if not (folder / "finished").exists():
        at.say(f"{name} plays {steps} steps of {game}")
        record(agent_of(at, name, game, tiny=tiny), folder, 1000, max_steps=steps, seed=5, overwrite=True)
        (folder / "finished").touch()
    return folder
