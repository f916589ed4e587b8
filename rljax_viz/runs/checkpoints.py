"""The resumable state of a training: whole or absent, whatever kills the process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _stored(state: Any, leave_out: tuple[str, ...]) -> dict[str, Any]:
    """What a checkpoint holds: all but the games under way, keys as their numbers."""
    kept = {name: value for name, value in state._asdict().items() if name not in leave_out}
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """orbax warns of what `read_only` means each time that it is asked for."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class Checkpoints:
    """`checkpoints/<update>/` of a run: the newest `keep`, and one every `keep_period` updates for good.

    `read_only` touches nothing, so that a run can be looked at while it trains. `leave_out` names the fields of the state
    that are not saved: the games under way.
    """

    def __init__(
        self,
        run: Path,
        keep: int = 3,
        keep_period: int | None = None,
        read_only: bool = False,
        leave_out: tuple[str, ...] = ("env_state", "timestep"),
    ):
        import orbax.checkpoint as ocp

        self._ocp, self._leave_out = ocp, leave_out
        if read_only:
            with _quiet():
                options = ocp.CheckpointManagerOptions(read_only=True)
        else:
            options = ocp.CheckpointManagerOptions(
                max_to_keep=keep, keep_period=keep_period, cleanup_tmp_directories=True, enable_async_checkpointing=True
            )
        with _quiet():
            self._manager = ocp.CheckpointManager((run / "checkpoints").resolve(), options=options)

    def save(self, update: int, state: Any) -> None:
        """Begins to write `state` as of `update`; goes on in the background."""
        if update not in self._manager.all_steps():
            self._manager.save(update, args=self._ocp.args.StandardSave(_stored(state, self._leave_out)), force=True)

    def updates(self) -> list[int]:
        """The updates that have a checkpoint, in order."""
        return sorted(self._manager.all_steps())

    def restore(self, state: Any, update: int | None = None) -> Any:
        """`state` (arrays, or their shapes) with what the newest checkpoint (or that of `update`) holds in their place.

        Raises FileNotFoundError where there is none.
        """
        update = self._manager.latest_step() if update is None else update
        if update is None or update not in self._manager.all_steps():
            raise FileNotFoundError(f"no checkpoint of update {update}; there are {self.updates()}")
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shapes = jax.eval_shape(lambda s: _stored(s, self._leave_out), state)
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), shapes)
        found = self._manager.restore(update, args=self._ocp.args.StandardRestore(like))
        found = jax.tree.map(
            lambda mine, new: jax.random.wrap_key_data(new) if _is_key(mine) else jnp.asarray(new),
            {name: getattr(state, name) for name in found},
            found,
        )
        return state._replace(**found)

    def close(self) -> None:
        """Waits until what was begun is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()
