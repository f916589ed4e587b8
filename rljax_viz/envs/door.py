"""Which door an environment's name leads through."""

import difflib
import importlib.util
from typing import Any

from .env import Env
from .presets import Preset, make_preset

#: door -> what its names look like
DOORS = {
    "envpool-atari": "Breakout-v5, Pong-v5, ... (every Atari game of envpool)",
    "ale-atari": "BreakoutInfinite-v5 (Atari with an edited memory, by ale-py: pip install 'rljax-viz[atari-ram]')",
    "envpool-procgen": "CoinrunHard-v0, StarpilotEasy-v0, ... (every Procgen game of envpool)",
    "gymnax": "Breakout-MinAtar, Asterix-MinAtar, CartPole-v1, ... (everything of gymnax)",
}

#: games that only ale-py can play, because their memory is written to
ALE_GAMES = ("BreakoutInfinite-v5",)
_PACKAGES = {"gymnax": ("gymnax", "gymnax"), "ale-atari": ("ale_py", "'rljax-viz[atari-ram]'")}


def default_preset(env_id: str) -> str:
    """The preset that an environment gets unless another is asked for."""
    usual = {"envpool-atari": "baselines", "ale-atari": "baselines", "envpool-procgen": "procgen", "gymnax": "plain"}
    return usual[door_of(env_id)]


def door_of(env_id: str) -> str:
    """Which door `env_id` leads through, by its name alone. Raises ValueError for a name that no door has."""
    if env_id in ALE_GAMES:
        return "ale-atari"
    if env_id.endswith("-v5"):
        return "envpool-atari"
    if env_id.endswith(("-MinAtar", "-bsuite", "-misc", "-v1")) or env_id.startswith("MountainCar"):
        return "gymnax"
    if env_id.endswith("-v0"):
        return "envpool-procgen"
    raise ValueError(f"no environment {env_id!r}. Names look like this: {'; '.join(DOORS.values())}")


def list_envs(door: str) -> list[str]:
    """All names behind one door of DOORS, in order; imports its package. Raises ValueError for another door."""
    if door not in DOORS:
        raise ValueError(f"no door {door!r}; there are {sorted(DOORS)}")
    if door == "gymnax":
        from gymnax.registration import registered_envs

        return sorted(registered_envs)
    if door == "ale-atari":
        return sorted(ALE_GAMES)
    import envpool

    ending = {"envpool-atari": "-v5", "envpool-procgen": "-v0"}[door]
    package = {"envpool-atari": "envpool.atari", "envpool-procgen": "envpool.procgen"}[door]
    from envpool.registration import registry

    ids = [name for name in envpool.list_all_envs() if name.endswith(ending)]
    return sorted(name for name in ids if registry.specs[name][0].startswith(package))


def make(
    env_id: str,
    num_envs: int = 8,
    preset: str | Preset | None = None,
    *,
    recording: bool = False,
    **changes: Any,
) -> Env:
    """`num_envs` games of `env_id`, seen through `preset` (a name of PRESETS, or a Preset), with `changes` of its fields.

    `make("Breakout-v5", 8)`, `make("Breakout-v5", 8, "machado", sticky=0.1)`, `make("CoinrunHard-v0", 64, num_levels=500)`.
    Raises ValueError for an unknown name, with the nearest ones; ImportError with the fix for a door that is shut.
    """
    if num_envs < 1:
        raise ValueError(f"num_envs is {num_envs}, expected 1 or more")
    door = door_of(env_id)
    if not isinstance(preset, Preset):
        preset = make_preset(preset or default_preset(env_id), env_id, **changes)
    elif changes:
        raise ValueError(f"give a Preset or changes {sorted(changes)}, not both: dataclasses.replace(preset, ...)")
    if preset.env_id != env_id:
        raise ValueError(f"the preset is of {preset.env_id!r}, the environment asked for is {env_id!r}")
    package, install = _PACKAGES.get(door, ("envpool", "envpool"))
    if importlib.util.find_spec(package) is None:
        raise ImportError(f"{env_id} needs {package}: pip install {install}")
    if env_id not in (known := list_envs(door)):
        near = difflib.get_close_matches(env_id, known, 4, 0.3)
        raise ValueError(f"no environment {env_id!r} behind the door {door}; near it: {near}. DOORS lists the doors")
    if door == "gymnax":
        from .gymnax_door import make_gymnax

        return make_gymnax(preset, num_envs)
    if door == "ale-atari":
        from .ale_door import make_ale

        return make_ale(preset, num_envs, recording)
    from .envpool_door import make_envpool

    return make_envpool(preset, num_envs, recording)
