"""Is a recording from elsewhere one of a game that we know? Its name, and its actions."""

import difflib
import functools
import warnings

import numpy as np

from ..envs import DOORS, Preset, default_preset, door_of, list_envs, make, make_preset


def is_known(env_id: str) -> bool:
    """Whether a door has this game (and its package is installed); warns with the nearest names if not."""
    try:
        if env_id in list_envs(door_of(env_id)):
            return True
    except (ValueError, ImportError):
        pass
    near = difflib.get_close_matches(env_id, _names(), 3, 0.4)
    meant = f" The nearest names: {', '.join(near)}." if near else ""
    warnings.warn(
        f"no game {env_id!r} can be played here.{meant} If it is a slip, import again with the right name and --overwrite "
        "(overwrite=True); if it is a game of your own, all is well, but its actions cannot be checked",
        stacklevel=3,
    )
    return False


def _names() -> list[str]:
    names = []
    for door in DOORS:
        try:
            names += list_envs(door)
        except ImportError:
            continue
    return names


def actions_of(preset: Preset) -> tuple[str, ...]:
    """The names of the actions of a game that a door has, whatever it looks like; none, with a warning, if it has not."""
    return _actions(preset.env_id, preset.full_actions, preset.num_actions)


@functools.cache
def _actions(env_id: str, full_actions: bool, num_actions: int) -> tuple[str, ...]:
    usual = make_preset(default_preset(env_id), env_id, full_actions=full_actions, num_actions=num_actions)
    try:
        return make(env_id, 1, usual).action_names
    except (ValueError, ImportError) as error:
        warnings.warn(f"the recorded actions cannot be checked: {error}", stacklevel=4)
        return ()


def check_actions(actions: np.ndarray, names: tuple[str, ...], source: str, env_id: str) -> None:
    """Raises ValueError, with the fix, unless the column `action` holds one whole number a row, each that of an action."""
    if actions.dtype.kind not in "iu" or actions.ndim != 1:
        fix = "np.argmax(action, -1)" if actions.ndim == 2 and actions.shape[1] > 1 else "action.reshape(-1).astype(np.int32)"
        raise ValueError(
            f"{source}: column 'action' is {actions.dtype}{list(actions.shape)}, expected one whole number a step, [N] of an "
            f"integer dtype: {fix}, or leave the column out"
        )
    wrong = np.unique(actions[(actions < 0) | (actions >= len(names) if names else False)])
    if len(wrong):
        values = ", ".join(map(str, wrong[:5])) + (f", ... {wrong[-1]}" if len(wrong) > 5 else "")
        expected = f"{env_id} has 0 to {len(names) - 1} ({', '.join(names)})" if names else "they are counted from 0"
        raise ValueError(
            f"{source}: column 'action' holds {values}; {expected}. Is it another game (--env), or were all 18 actions of "
            "Atari in use (--preset machado)? Or number them anew, or leave the column out"
        )
