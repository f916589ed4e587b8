"""Environments: one `Env`, several doors (envpool's Atari and Procgen, gymnax), each opened only when it is asked for."""

from .door import DOORS, default_preset, door_of, list_envs, make
from .env import Env, Info, Timestep
from .presets import PRESETS, Preset, check_same_view, make_preset
from .ram_edit import Replay, edit_ram, replay
from .stacked import stacked

__all__ = [
    "DOORS",
    "PRESETS",
    "Env",
    "Info",
    "Preset",
    "Replay",
    "Timestep",
    "check_same_view",
    "default_preset",
    "door_of",
    "edit_ram",
    "list_envs",
    "make",
    "make_preset",
    "replay",
    "stacked",
]
