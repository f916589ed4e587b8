"""A training on disk: the loop around `Train(init, update)` that can be watched, stopped, killed and taken up again."""

import contextlib
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from ..agents import Train, find_algorithm
from ..envs import door_of
from ..networks import make as make_network
from .checkpoints import Checkpoints
from .config import RunConfig
from .metrics import MetricsLog, as_row, need_tensorboard
from .ring import make_ring

SEED = "seed"  # the axis of devices over which seeds are spread
#: bytes of frames that the memories of all seeds may take on a CPU: 200,000 frames of Procgen, the largest there are
LARGEST_REPLAY = 200_000 * 64 * 64 * 3


class Progress(NamedTuple):
    """What a watcher is told after each update."""

    update: int
    num_updates: int
    steps: int
    row: dict[str, Any]


class Loop(NamedTuple):
    """`init() -> state`, `begin(state, update) -> state` with new games, `update(state) -> (state, metrics)`."""

    init: Callable[[], Any]
    begin: Callable[[Any, int], Any]
    update: Callable[[Any], tuple[Any, Any]]
    num_updates: int
    steps_per_update: int
    games: tuple[str, ...]
    ring: str | None

    @property
    def apart(self) -> tuple[str, ...]:
        """The fields of the state that a checkpoint leaves out: games under way, and a replay memory."""
        return (*self.games, *((self.ring,) if self.ring else ()))


def make_loop(config: RunConfig) -> Loop:
    """The compiled parts of a training; with several seeds agent k begins from key `seed + k`.

    Several seeds are a `vmap`; on a CPU, where games are computed by JAX itself, they learn one after the other in one
    program instead, which costs less (`benchmarks/seeds.py`). Such games are spread over the devices that there are.
    """
    env = config.env()
    if len(env.obs_shape) != 3:
        raise ValueError(
            f"{config.preset.env_id} shows {list(env.obs_shape)}, and runs learn from frames [H W C]: of MinAtar, Atari or "
            "Procgen. With a network of your own, learn from Python: agents.make_train(config, env, network)"
        )
    check_replay(config, env.obs_shape)
    network = make_network(config.network, env.num_actions, **config.network_options)
    algorithm: Train = find_algorithm(config.algo).make_train(config.algorithm, env, network)
    keys = jax.vmap(jax.random.key)(config.seed + np.arange(config.seeds))

    def new_games(state: Any, key: jax.Array, update: jax.Array) -> Any:
        return algorithm.begin(state, *env.reset(jax.random.fold_in(key, update)))

    init, update, begin = algorithm.init, algorithm.update, new_games
    place: Any = None
    if config.seeds == 1:
        keys = keys[0]
    else:
        over = _in_turn if _is_computed(config) and jax.default_backend() == "cpu" else jax.vmap
        mesh = _mesh(config.seeds) if _is_computed(config) else None
        init, update, begin = (_spread(over(f), mesh) for f in (init, update, begin))
        place = mesh and NamedSharding(mesh, PartitionSpec(SEED))
    init, update, begin = jax.jit(init), jax.jit(update, donate_argnums=0), jax.jit(begin, donate_argnums=0)

    def begin_games(state: Any, at: int) -> Any:
        state = state if place is None else jax.device_put(state, place)  # one from a checkpoint lies on one device
        return begin(state, keys, np.full(keys.shape, at, np.int32))

    return Loop(
        lambda: init(keys), begin_games, update, algorithm.num_updates, algorithm.steps_per_update, algorithm.games,
        algorithm.ring,
    )  # fmt: skip


def check_replay(config: RunConfig, obs_shape: tuple[int, ...]) -> None:
    """Raises ValueError where the replay memories of all seeds together are more than a machine without a GPU should hold.

    How large one agent's may be is the algorithm's to say.
    """
    size = getattr(config.algorithm, "replay_size", 0)
    frame = math.prod(obs_shape) // config.preset.stack
    total = config.seeds * size * frame
    if total > LARGEST_REPLAY and jax.default_backend() == "cpu":
        fits = LARGEST_REPLAY // (config.seeds * frame)
        raise ValueError(
            f"{config.seeds} seeds x replay_size={size} frames of {frame} bytes are {total / 1e9:.1f} GB, and would fill "
            f"this machine's memory and every checkpoint's disk; on a CPU take {LARGEST_REPLAY / 1e9:.1f} GB or less over "
            f"all seeds: --set replay_size={fits // 1000 * 1000 or fits}, or fewer --seeds"
        )


def share_cores(config: RunConfig) -> None:
    """Makes devices of the CPU's cores where several seeds gain by it; of use before jax has computed anything."""
    if config.seeds > 1 and _is_computed(config):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", _largest_share(config.seeds, cores))


def _is_computed(config: RunConfig) -> bool:
    """Whether jax itself computes the games."""
    return door_of(config.preset.env_id) == "gymnax"


def _largest_share(seeds: int, devices: int) -> int:
    """How many of the devices can each take the same number of seeds."""
    return max(n for n in range(1, min(seeds, devices) + 1) if seeds % n == 0)


def _mesh(seeds: int) -> jax.sharding.Mesh | None:
    devices = jax.local_devices()
    share = _largest_share(seeds, len(devices))
    return jax.sharding.Mesh(np.array(devices[:share]), (SEED,)) if share > 1 else None


def _spread(f: Callable, mesh: jax.sharding.Mesh | None) -> Callable:
    """`f`, each device of `mesh` with its part of the seeds."""
    part = PartitionSpec(SEED)
    return f if mesh is None else jax.shard_map(f, mesh=mesh, in_specs=part, out_specs=part, check_vma=False)


def _in_turn(f: Callable) -> Callable:
    """`vmap(f)`, one seed after the other."""
    return lambda *args: jax.lax.map(lambda one: f(*one), args)


def train_run(
    config: RunConfig,
    out: Path,
    *,
    resume: bool = False,
    tensorboard: bool = False,
    watch: Callable[[Progress], None] = lambda progress: None,
    max_updates: int | None = None,
) -> Path:
    """Trains `config` into the directory `out`; gives `out`.

    Every `checkpoint_every` updates the state is saved and all games begin anew, in every run, so that a run that was
    killed and resumed equals one that was not, bit for bit on the same machine. Ctrl-C saves at the end of the
    update under way (the games begin anew there too, so that such a run differs from one that was not stopped).
    A resumed run may have another number of steps; what is annealed then goes by it.
    Raises FileExistsError where `out` holds a run and `resume` is False; ValueError where it holds another one, or one
    that has learned for more steps.
    """
    if resume:
        have = RunConfig.load(out).with_steps(config.algorithm.steps)  # a run may be given another end
        if have.to_json() != config.to_json():
            differ = [k for k, v in have.to_json().items() if v != config.to_json()[k]]
            raise ValueError(f"{out} holds a run with other settings ({', '.join(differ)}); resume it by its own")
    elif (out / "config.json").exists():
        raise FileExistsError(f"{out} holds a run already: go on with --resume {out}, or give another --out")
    loop = make_loop(config)  # what does not fit is refused before there is a run
    if tensorboard:
        need_tensorboard()
    keep_period = config.checkpoint_every * max(1, loop.num_updates // (10 * config.checkpoint_every))
    checkpoints = Checkpoints(out, keep_period=keep_period, leave_out=loop.apart)
    if (done := max(checkpoints.updates(), default=0)) > loop.num_updates:
        checkpoints.close()
        raise ValueError(f"{out} has learned for {done * loop.steps_per_update} steps: give it that many or more (--steps)")
    config.save(out)
    state, first = loop.init(), 0
    rows = config.checkpoint_every * loop.steps_per_update // config.num_envs
    ring = make_ring(out, state, loop.ring, rows, config.seeds)
    if resume and checkpoints.updates():
        first = checkpoints.updates()[-1]
        state = checkpoints.restore(state)
        if ring is not None:
            state = state._replace(**{str(loop.ring): ring.restore(first, getattr(state, str(loop.ring)))})
        state = loop.begin(state, first)
    log = MetricsLog(out, first, tensorboard)
    last = loop.num_updates if max_updates is None else min(loop.num_updates, max_updates)
    with _StopRequest() as stop:
        for update in range(first + 1, last + 1):
            state, metrics = loop.update(state)
            row = as_row(update, update * loop.steps_per_update, metrics)
            log.write(row)
            at_checkpoint = update % config.checkpoint_every == 0
            if at_checkpoint or update == last or stop.asked:
                if ring is not None:
                    ring.save(update, getattr(state, str(loop.ring)))
                checkpoints.save(update, state)
            if at_checkpoint and update < last:
                state = loop.begin(state, update)
            watch(Progress(update, loop.num_updates, row["steps"], row))
            if stop.asked:
                break
    checkpoints.close()
    log.close()
    return out


class _StopRequest:
    """Turns the first Ctrl-C (or SIGTERM) into a wish to stop after the update under way; a second one stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "_StopRequest":
        self._old = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._ask)
        except ValueError:  # not in the main thread: nobody presses Ctrl-C here
            pass
        return self

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
