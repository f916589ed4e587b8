"""How a game is shown to an agent: every run, store, map and zoo card keeps its preset, and a mismatch is refused."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

# What an agent sees and does; the other fields only shape its learning, and an evaluation may change them.
_SEEN = (
    "env_id",
    "frame_skip",
    "max_pool",
    "grey",
    "height",
    "width",
    "stack",
    "padding",
    "full_actions",
    "num_actions",
    "paint_vel_info",
)


@dataclass(frozen=True)
class Preset:
    """One way to show `env_id` to an agent. Each field has a sentence.

    env_id: the game, by its own door's name: `Breakout-v5`, `CoinrunHard-v0`, `Breakout-MinAtar`.
    name: which named preset this began as.
    frame_skip: emulator frames an action lasts.
    max_pool: the observation is the maximum of the last two emulator frames.
    grey: luminance only (one channel a frame).
    height, width: pixels of one frame; 0 says the environment's own.
    stack: frames in one observation, the newest last; their channels stay side by side.
    padding: what fills the stack at a real reset: `repeat` the first frame, or `zeros`.
    sticky: probability that the emulator repeats the last action.
    noop_max: at most so many random no-ops at a reset.
    fire_reset: press FIRE after a reset where the game waits for it.
    full_actions: all 18 Atari actions instead of the game's own.
    num_actions: 0 says the environment's own; Procgen's CoinRun can be limited to its first 9.
    max_episode_steps: a longer game is truncated; 0 says the environment's own.
    clip_reward: the learner sees the sign of the reward.
    life_loss: the learner sees a lost life as an end.
    num_levels, start_level: Procgen: which levels; 0 levels is all of them.
    paint_vel_info: Procgen: the agent's velocity is painted into the frame.
    """

    env_id: str
    name: str = "plain"
    frame_skip: int = 1
    max_pool: bool = False
    grey: bool = False
    height: int = 0
    width: int = 0
    stack: int = 1
    padding: Literal["repeat", "zeros"] = "repeat"
    sticky: float = 0.0
    noop_max: int = 1
    fire_reset: bool = False
    full_actions: bool = False
    num_actions: int = 0
    max_episode_steps: int = 0
    clip_reward: bool = False
    life_loss: bool = False
    num_levels: int = 0
    start_level: int = 0
    paint_vel_info: bool = False

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Preset":
        """Raises ValueError for a field that this version does not know."""
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ValueError(
                f"preset holds unknown fields {unknown}: it was written by another version of rljax_viz; "
                "upgrade with `pip install -U rljax-viz`"
            )
        return cls(**values)

    def for_evaluation(self) -> "Preset":
        """The same view of whole, unclipped games: no end at a lost life, rewards as they are."""
        return dataclasses.replace(self, clip_reward=False, life_loss=False)


_ATARI = {
    "frame_skip": 4,
    "max_pool": True,
    "grey": True,
    "height": 84,
    "width": 84,
    "stack": 4,
    "max_episode_steps": 27_000,
}

#: name -> fields. `baselines` is OpenAI Baselines' PPO2 (seed 004), `dqn` is Mnih et al. 2015, `machado` is Machado
#: et al. 2018 (arXiv:1709.06009: sticky actions, all 18 actions, whole games), `colour` is `dqn` as the emulator draws it,
#: neither grey nor scaled (210x160x3 a frame; Annasamy & Sycara 2019, FACTS I11).
PRESETS: dict[str, dict[str, Any]] = {
    "baselines": {**_ATARI, "noop_max": 30, "fire_reset": True, "clip_reward": True, "life_loss": True},
    "colour": {**_ATARI, "grey": False, "height": 0, "width": 0, "noop_max": 30, "clip_reward": True, "life_loss": True},
    "dqn": {**_ATARI, "noop_max": 30, "clip_reward": True, "life_loss": True},
    "machado": {**_ATARI, "sticky": 0.25, "full_actions": True, "clip_reward": True},
    "procgen": {},
    "plain": {},
}


def make_preset(name: str, env_id: str, **changes: Any) -> Preset:
    """The preset `name` for `env_id`, with `changes`. Raises ValueError for a name that does not exist."""
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; there are {sorted(PRESETS)}")
    preset = Preset(env_id, name, **PRESETS[name])
    unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(Preset)})
    if unknown:
        raise ValueError(f"a preset has no field {unknown}; it has {[f.name for f in dataclasses.fields(Preset)]}")
    return dataclasses.replace(preset, **changes)


def check_same_view(have: Preset, want: Preset, what: str) -> None:
    """Refuses to show an agent a game that it was not trained to see.

    Raises ValueError with each differing field and the fix, where `have` (what is about to be shown) differs from
    `want` (what `what` was trained on) in anything that the agent sees or does.
    """
    differing = [name for name in _SEEN if getattr(have, name) != getattr(want, name)]
    if differing:
        lines = "; ".join(f"{name}: {getattr(have, name)!r}, trained on {getattr(want, name)!r}" for name in differing)
        raise ValueError(
            f"{what} was trained on another view of the game ({lines}). Use the environment that it knows: "
            f"--env {want.env_id} --preset {want.name}, or envs.make({want.env_id!r}, num_envs, preset=agent.preset)"
        )


def check_honoured(preset: Preset, honoured: tuple[str, ...]) -> None:
    """Refuses a preset that asks for what its door does not do: every run would keep it, and it would be false.

    Raises ValueError with each field that is neither in `honoured` nor left as it is by default.
    """
    plain = Preset(preset.env_id, preset.name)
    asked = {f.name: getattr(preset, f.name) for f in dataclasses.fields(preset)}
    ignored = {k: v for k, v in asked.items() if k not in honoured and v != getattr(plain, k)}
    if ignored:
        raise ValueError(
            f"{preset.env_id} cannot be shown with {ignored}: its door knows only {list(honoured)}. Leave the preset "
            f"out, envs.make({preset.env_id!r}, num_envs), or change the fields that it knows"
        )
