"""What the architectures attend to on the same frames: agents, a recording, maps; figure 4 and table 4 share them."""

from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.free_lunch.agents import Trained, games, models, train
from experiments.free_lunch.paper import model_of
from experiments.scale import Experiment
from experiments.training import trained

#: a thousand steps of the real game; of the dense network, a hundred times slower, a few
FEW = {"steps": 1_024, "num_envs": 8, "seed": 1}
FEWEST = {"steps": 128, "num_envs": 8, "num_steps": 16, "num_minibatches": 1, "epochs": 1, "seed": 1}
NO_GAZE = (
    "No folder of gaze was given, so nothing is said about people. Download trials of Atari-HEAD "
    "(https://zenodo.org/records/3451402), keep `meta_data.csv` beside them, and give the folder: --gaze FOLDER."
)
PLAYER = "zoo:Breakout-v5"  # whose games the untrained ones look at


def digest(folder: Path) -> str:
    """A short name of a folder of gaze, for the parts computed of it. Raises FileNotFoundError where it is not there."""
    if not folder.is_dir():
        raise FileNotFoundError(f"--gaze {folder} is no folder: give the one that the trials of Atari-HEAD lie in")
    return blake2b(str(folder.resolve()).encode(), digest_size=4).hexdigest()


class Frames(NamedTuple):
    """Steps of one recording: obs[N H W C], the newest frame[N H W c], the game in colour rgb[N 210 160 3] or None."""

    obs: np.ndarray
    newest: np.ndarray
    rgb: np.ndarray | None
    episode: np.ndarray


def atari_agents(at: Experiment, network: str, game: str = "Breakout-v5", tiny: bool = False) -> list[Trained]:
    """Agents of the paper's own network on a real game.

    At smoke scale the one that ships, if one does; else those that `--games atari` trains, else one of a thousand steps.
    """
    from rljax_viz import zoo
    from rljax_viz.runs import make_config

    for name in zoo.names() if at.smoke else ():
        card = zoo.card(name)
        if card["network"] == network and card["preset"]["env_id"] == game:
            return [Trained(Path(f"zoo:{name}"), 0)]
    if at.atari and model_of(network) in models(at) and game in games(at):
        return train(at, model_of(network), game, tiny)
    setting = FEWEST if tiny or network.startswith("dense") else FEW
    place = at.folder.parent / "agents" / f"{game}-{network}"
    return [Trained(trained(place, make_config(game, "ppo", network=network, **setting), at.say), 0)]


def recorded(at: Experiment, player: Any, steps: int) -> Path:
    """The folder of `steps` steps played by `player` (an `Agent`), recorded once."""
    from rljax_viz.runs import record

    folder = at.folder.parent / "recordings" / f"{player.preset.env_id}-{player.network}-{player.checkpoint}-{steps}"
    if not (folder / "finished").exists():
        at.say(f"{player.name} plays {steps} steps")
        record(player, folder, 1000, max_steps=steps, seed=3, overwrite=True)
        (folder / "finished").touch()
    return folder


def frames_of(folder: Path, channels: int) -> Frames:
    """All steps of a recording; `channels` of one frame."""
    from rljax_viz.store import Episodes

    episodes = Episodes(folder / "episodes.zarr")
    obs = np.asarray(episodes.observations[:])
    rgb = np.asarray(episodes.rgb[:]) if "rgb" in episodes else None
    return Frames(obs, obs[..., -channels:], rgb, np.asarray(episodes.episode[:]))


def maps_of(agent: Any, frames: Frames) -> np.ndarray:
    """The agent's attention drawn on its frames, [N H W] >= 0, divided by the largest value of the episode."""
    from rljax_viz.explain import scale_per_episode
    from rljax_viz.runs import make_explain
    from rljax_viz.sweeps import map_frames

    explain = make_explain(agent, "attention_map", "attention")
    maps = map_frames(explain, agent.params, frames.obs, None, rest=(np.zeros(len(frames.obs), np.int32),))
    return np.asarray(scale_per_episode(np.asarray(maps), frames.episode))


def objects(frames: Frames) -> np.ndarray:
    """Where the ball and the paddle of MinAtar's Breakout are, [N 10 10] counts: its planes 0 and 1."""
    return (frames.newest[..., :2] > 0).sum(-1).astype(np.float32)


def area(maps: np.ndarray) -> np.ndarray:
    """Share of each frame where its map is above half of its own largest value, [N]: small is crisp, 1 is flat."""
    return (maps > 0.5 * maps.max((1, 2), keepdims=True)).mean((1, 2))


def looks_at(maps: np.ndarray, targets: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Mean NSS and shuffled AUC of maps[N H W] against targets[N H W], and how many frames were undefined."""
    import jax
    import jax.numpy as jnp

    from rljax_viz.measure import nss, shuffled_auc

    rng = np.random.default_rng(seed)
    others = np.stack([targets[rng.integers(0, len(targets), 10)].sum(0) for _ in maps])
    keys = jax.random.split(jax.random.key(seed), len(maps))

    def one(arguments):
        key, map, target, other = arguments
        return nss(map, target), shuffled_auc(key, map, target, other[None])

    many = jax.jit(lambda *given: jax.lax.map(one, given, batch_size=32))
    found = many(keys, *map(jnp.asarray, (maps, targets, others)))
    means = {name: float(np.nanmean(v)) if not np.isnan(v).all() else float("nan")
             for name, v in zip(("nss", "shuffled_auc"), map(np.asarray, found), strict=True)}  # fmt: skip
    return {**means, "undefined": int(np.isnan(found[0]).sum())}
