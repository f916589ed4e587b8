"""The agents and recordings that all figures and tables of i-DQN share: each trained once, each recorded once."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.scale import Experiment
from experiments.training import trained

GAMES = ("Alien", "Freeway", "Frostbite", "Gravitar", "MsPacman", "Qbert", "SpaceInvaders", "Venture")
STEPS = 2_500_000  # 10 million frames of the emulator
SMOKE_STEPS, ATARI_STEPS, TINY_STEPS = 120_000, 25_600, 3_000
#: double DQN of the real games in the authors' code, but for its hidden layer, which is twice as wide here (512)
DOUBLE_DQN = {"replay_size": 10_000, "learn_start": 10_000, "epsilon_fraction": 0.4, "adam_eps": 1e-8}
DECODERS = {
    "AE": {},
    "VAE, beta 0": {"decoder": "vae"},
    "VAE, beta 0.01": {"decoder": "vae"},
    "dense VAE": {"decoder": "dense-vae"},
}
SMALL = (
    "At smoke scale the network is a small twin (one convolution, embeddings of 64) on MinAtar's Breakout, trained for a "
    "twentieth of the paper's steps on a seed or two: a verdict there is about the conclusion, not the paper's numbers."
)
SHORT = (
    "At this scale the paper's network sees 102,400 frames of the real game, a hundredth of the paper's, on one seed: enough "
    "to play better than at random, not to reach the paper's numbers."
)


#: what MinAtar's planes are, in the order of their colours
OBJECTS = {"Breakout-MinAtar": ("paddle", "ball", "where the ball was", "bricks")}


class Seen(NamedTuple):
    """States obs[N H W C] of an agent's games, and the action[N] that it takes in each for the best."""

    obs: np.ndarray
    action: np.ndarray


def games(at: Experiment) -> tuple[str, ...]:
    return at.choose((main_game(at),), tuple(f"{game}-v5" for game in GAMES))


def about(at: Experiment) -> list[str]:
    """What a report says of how little its agents learned."""
    return at.choose([SMALL], [], [SHORT])


def main_game(at: Experiment) -> str:
    """The game of the figures that show one."""
    return "MsPacman-v5" if at.atari else "Breakout-MinAtar"


def train(
    at: Experiment,
    game: str,
    algo: str = "idqn",
    name: str = "",
    tiny: bool = False,
    seeds: int = 1,
    network: dict[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """The run of `algo` on `game` with `settings`, trained or found trained; `name` tells variants apart.

    On the real games double DQN has the settings of the authors' code, and as i-DQN whole games to learn from.
    """
    from rljax_viz.runs import make_config

    double = algo == "double-dqn" and at.atari

    steps = TINY_STEPS if tiny else at.choose(SMOKE_STEPS, STEPS, ATARI_STEPS)
    settings = {"steps": steps, "checkpoint_every": at.choose(32, 128), "num_envs": 8, "seeds": seeds, **settings}
    settings |= DOUBLE_DQN if double else {}
    if tiny:
        settings |= {"learn_start": 512, "replay_size": 2_000}
    config = make_config(game, algo, network_options=network or {}, **settings)
    if double:
        config = dataclasses.replace(config, preset=dataclasses.replace(config.preset, life_loss=False))
    folder = at.folder.parent / "agents" / "-".join(part for part in (game, algo, name.replace(" ", "-")) if part)
    at.part(f"training/{folder.name}", lambda: str(trained(folder, config, at.say)))  # so that the report counts its time
    return trained(folder, config, at.say)


def decoders(at: Experiment, tiny: bool, colour: bool = False) -> dict[str, Path]:
    """The four ways to reconstruct, one agent each: table 2 and figure 6; of frames in colour, as the emulator draws them."""
    game, found = main_game(at), {}
    for label, network in DECODERS.items():
        name = " ".join([*["colour"] * colour, *[label.replace(",", "")] * (label != "AE")])
        settings = {"preset": "colour" if colour else None, **({"kl": 0.01} if "0.01" in label else {})}
        found[label] = train(at, game, name=name, tiny=tiny, network=network, **settings)
    return found


def watched(at: Experiment, agent: Any, steps: int) -> tuple[Seen, dict[str, np.ndarray]]:
    """`steps` steps of the agent's own games, recorded once, and its `outputs` there.

    One action in twenty is any, since MinAtar's games would else be the same two again and again; the actions given are those
    that the agent takes for the best all the same.
    """
    from rljax_viz.runs import record
    from rljax_viz.store import Episodes

    folder = at.folder.parent / "recordings" / f"{agent.preset.env_id}-{agent.network}-{agent.checkpoint}-{steps}"
    if not (folder / "finished").exists():
        at.say(f"{agent.name} plays {steps} steps")
        record(agent, folder, steps, max_steps=steps, seed=3, epsilon=0.05, overwrite=True)
        (folder / "finished").touch()
    obs = np.asarray(Episodes(folder / "episodes.zarr").observations[:])
    found = outputs(agent, obs)
    return Seen(obs, found["q"].argmax(1)), found


def network_of(agent: Any) -> Any:
    """The linen module of an agent, for its decoder."""
    from rljax_viz.networks import make

    options = agent.card["config"]["network_options"]
    return make(agent.network, len(agent.action_names), **options)


def outputs(agent: Any, obs: np.ndarray) -> dict[str, np.ndarray]:
    """q, uncertainty, weights and embedding of obs[N H W C], and the reconstruction as frames of 0..255."""
    import jax

    one = lambda o: agent.f(agent.params, o)  # noqa: E731
    out = jax.jit(lambda x: jax.lax.map(one, x, batch_size=32))(obs)
    found = {
        name: np.asarray(getattr(out, name)) for name in ("q", "uncertainty", "weights", "embedding", "reconstruction")
    }
    mean = np.asarray(agent.params["constants"]["mean"])
    return {**found, "reconstruction": found["reconstruction"] * 255 + mean}


def as_picture(frame: np.ndarray, channels: int) -> np.ndarray:
    """The newest frame of a stack [H W C], 0..255, as a picture [H W 3] uint8."""
    from rljax_viz.report.overlay import colours

    return colours(np.clip(np.round(np.asarray(frame, np.float32)[..., -channels:]), 0, 255).astype(np.uint8))


def channels_of(agent: Any) -> int:
    return agent.obs_shape[-1] // agent.preset.stack


def legend(game: str) -> dict[str, Any]:
    """What the colours of `as_picture` are, where they are not the game's own."""
    from rljax_viz.report.overlay import PALETTE

    objects = dict(zip(OBJECTS.get(game, ()), PALETTE, strict=False))
    return {**objects, "several at once": (255, 255, 255)} if objects else {}
