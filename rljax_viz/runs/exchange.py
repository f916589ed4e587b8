"""Recordings from elsewhere and for elsewhere: `.npz`, a folder of PNGs, video, Minari. All lossless but `.mp4`.

What travels are single frames and one row of columns for each: what the agent saw newest, what it did, what it got.
"""

import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..envs import Preset
from ..report import decode, encode
from ..store import Episodes, create_episodes
from .possible import actions_of, check_actions, is_known

Watch = Callable[[int, int], None]
Columns = dict[str, Any]
KINDS = "games.npz, a folder of PNGs, games.mkv (lossless) or games.mp4, minari:NAME"
_BLOCK = 1024
_ENDS = ("terminated", "truncated")


def import_recording(
    source: str | Path,
    run: Path,
    preset: Preset,
    *,
    action_names: tuple[str, ...] = (),
    channels_first: bool = False,
    overwrite: bool = False,
    watch: Watch = lambda done, all: None,
) -> Path:
    """Writes `run/episodes.zarr` from `source`, for `explain_run`; gives its path.

    The source holds `frames` [N H W c] or [N H W], uint8, one single frame a step, or whole stacks [N H W c*stack]
    (`obs`, the newest last), of which the newest is taken if the others can be put back together from it. Beside them
    any of `action`, `reward`, `terminated`, `truncated`, `episode`, `stack_start` and columns of your own, N rows each; in a
    `.npz` they stand together, beside PNGs in `columns.npz`, beside a video in `<its name>.npz`. `channels_first`
    turns [N c H W]. `preset` says how the game was shown (`envs.make_preset`).
    Actions are checked against `action_names`, or against those of the game; a game that no door has is taken with a
    warning. Raises FileNotFoundError or ValueError with the fix.
    """
    columns = _read(str(source), preset.grey)
    frames = _frames(columns, preset, str(source), channels_first)
    count = len(frames)
    for name, values in columns.items():
        if len(values) != count:
            raise ValueError(f"{source}: column {name!r} has {len(values)} rows, there are {count} frames")
    if not count:
        raise ValueError(f"{source} holds no frames")
    known = is_known(preset.env_id)
    if "action" in columns:
        action_names = action_names or (actions_of(preset) if known else ())
        check_actions(np.asarray(columns["action"]), action_names, str(source), preset.env_id)
    if missing := {"reward", *_ENDS} - set(columns):
        columns.update({name: np.zeros(count, np.float32 if name == "reward" else bool) for name in missing})
    columns["stack_start"] = _starts(columns, count)
    columns.setdefault("episode", np.cumsum(columns["stack_start"]).astype(np.int32) - 1)
    if (stacks := columns.pop("obs", None)) is not None:
        _check_stacks(stacks, frames, columns["stack_start"], preset, str(source), channels_first)
    kept = [name for name in columns if name != "stack_start"]
    kinds = {name: (np.shape(columns[name])[1:], np.asarray(columns[name][:1]).dtype.name) for name in kept}
    attributes = {
        "agent": f"imported from {Path(str(source)).name}", "checkpoint": None, "preset": preset.to_json(), "greedy": False,
        "seed": None, "action_names": list(action_names or _numbered(columns)),
    }  # fmt: skip
    writer = create_episodes(
        run / "episodes.zarr", frame_shape=frames.shape[1:], stack=preset.stack, padding=preset.padding,
        attributes=attributes, columns=kinds, overwrite=overwrite,
    )  # fmt: skip
    shutil.rmtree(run / "maps", ignore_errors=True)
    with writer:
        for at in range(0, count, _BLOCK):
            rows = slice(at, min(at + _BLOCK, count))
            writer.append(frames=frames[rows], **{name: np.asarray(values[rows]) for name, values in columns.items()})
            watch(rows.stop, count)
    return run / "episodes.zarr"


def export_recording(run: Path, target: str | Path, *, watch: Watch = lambda done, all: None) -> str:
    """Writes the recording of `run` to `target`, whose name says how: see KINDS. Gives what was written, in words.

    Raises FileExistsError if it is there; ValueError for a name that says nothing.
    """
    episodes, text = Episodes(run / "episodes.zarr"), str(target)
    path = Path(text)
    if not text.startswith("minari:") and path.exists():
        raise FileExistsError(f"{path} is there already: delete it, or choose another name")
    if text.startswith("minari:"):
        return _to_minari(episodes, text.removeprefix("minari:"), watch)
    if path.suffix == ".npz":
        _save_columns(path, episodes, [*episodes.columns])
    elif path.suffix in (".mkv", ".mp4"):
        _check_pictures(episodes)
        _to_video(episodes, path, watch)
        _save_columns(_columns_of(path), episodes, [n for n in episodes.columns if n != "frames"])
    elif not path.suffix:
        _check_pictures(episodes)
        _to_pngs(episodes, path, watch)
        _save_columns(path / "columns.npz", episodes, [n for n in episodes.columns if n != "frames"])
    else:
        raise ValueError(f"{path.name!r} does not say what to write: {KINDS}")
    return f"{len(episodes)} steps to {path}"


def _read(source: str, grey: bool) -> Columns:
    path = Path(source)
    if source.startswith("minari:"):
        return _from_minari(source.removeprefix("minari:"))
    if not path.exists():
        raise FileNotFoundError(f"nothing at {path}; recordings are read from {KINDS}")
    if path.is_dir():
        return _from_pngs(path)
    if path.suffix == ".npz":
        return _npz(path)
    if path.suffix.lower() in (".mkv", ".mp4", ".avi", ".webm", ".mov", ".gif"):
        return {"frames": _video_frames(path, grey), **_beside(_columns_of(path))}
    raise ValueError(f"{path.name!r} is no recording: they are read from {KINDS}")


# ------------------------------------------------------------------------------------------------- what the rows must be


def _frames(columns: Columns, preset: Preset, source: str, channels_first: bool) -> np.ndarray:
    """The single frames [N H W c] of `frames` or of the newest channels of `obs`; raises with the fix."""
    name = next((name for name in ("frames", "obs") if name in columns), None)
    if name is None:
        raise ValueError(f"{source} holds {sorted(columns)}; it needs `frames` [N H W c] or `obs` [N H W c*stack], uint8")
    frames = np.asarray(columns[name])
    if frames.dtype != np.uint8:
        low, high = (float(frames.min()), float(frames.max())) if frames.size else (0, 0)
        fix = "multiply by 255 and round" if high <= 1 else "write them as they were seen"
        raise ValueError(f"{source}: {name} is {frames.dtype} from {low:g} to {high:g}, expected uint8 from 0 to 255: {fix}")
    frames = frames[..., None] if frames.ndim == 3 else frames
    if frames.ndim != 4:
        raise ValueError(f"{source}: {name} is {list(frames.shape)}, expected [N H W c] (or [N H W] of grey frames)")
    frames = np.moveaxis(frames, 1, -1) if channels_first else frames
    want = _shown(frames.shape[1:], preset, name)
    if frames.shape[1:] != want:
        turned = (*frames.shape[2:], frames.shape[1])
        if turned == _shown(turned, preset, name) and frames.shape[1] < frames.shape[-1]:
            raise ValueError(
                f"{source}: {name} is {list(frames.shape)}: the channels stand first, expected [N H W c]. Turn them: "
                "--channels-first, or np.moveaxis(frames, 1, -1)"
            )
        stacked = " (whole stacks are called `obs`)" if frames.shape[-1] == want[-1] * preset.stack else ""
        expected = f"preset {preset.name!r} shows [N, {', '.join(map(str, want))}]"
        raise ValueError(f"{source}: {name} is {list(frames.shape)}, {expected}{stacked}")
    single = want[-1] // (preset.stack if name == "obs" else 1)
    if name == "frames":
        columns.pop("obs", None)
        del columns["frames"]
        return frames
    return np.ascontiguousarray(frames[..., -single:])


def _shown(shape: tuple[int, ...], preset: Preset, name: str) -> tuple[int, ...]:
    """What `preset` makes of a frame, or of a stack (`obs`), where it leaves a size open that of `shape`."""
    channels = preset.stack if name == "obs" else 1
    one = 1 if preset.grey else max(shape[-1] // channels, 1)
    return (preset.height or shape[0], preset.width or shape[1], one * channels)


def _starts(columns: Columns, count: int) -> np.ndarray:
    """Where stacks are refilled: as given, or where the episode changes, or after an end."""
    if "stack_start" in columns:
        return np.asarray(columns["stack_start"], bool)
    if "episode" in columns:
        episode = np.asarray(columns["episode"])
        return np.concatenate([[True], episode[1:] != episode[:-1]])
    ended = np.asarray(columns["terminated"], bool) | np.asarray(columns["truncated"], bool)
    return np.concatenate([[True], ended[:-1]])


def _check_stacks(stacks: Any, frames: np.ndarray, starts: np.ndarray, preset: Preset, source: str, turned: bool) -> None:
    """Raises unless the stacks that were given are those that will be gathered from their newest frames."""
    from ..store import Observations

    given = np.moveaxis(np.asarray(stacks), 1, -1) if turned else np.asarray(stacks)
    made = Observations(frames, np.flatnonzero(starts), preset.stack, preset.padding)
    for at in range(0, len(frames), _BLOCK):
        rows = slice(at, min(at + _BLOCK, len(frames)))
        wrong = np.flatnonzero((made[rows] != given[rows]).any(axis=(1, 2, 3)))
        if len(wrong):
            raise ValueError(
                f"{source}: the stack of step {at + wrong[0]} is not made of the frames before it (newest last, filled "
                f"with {preset.padding!r} at a start). Are these steps of one game after another, with `stack_start` or "
                "`episode` where games begin?"
            )


def _numbered(columns: Columns) -> list[str]:
    if "action" not in columns:
        return []
    return [str(n) for n in range(int(np.max(columns["action"])) + 1)]


# ----------------------------------------------------------------------------------------------------------- the formats


def _save_columns(path: Path, episodes: Episodes, names: list[str]) -> None:
    np.savez_compressed(path, allow_pickle=False, **{name: episodes[name][:] for name in names})


def _columns_of(video: Path) -> Path:
    return video.with_name(f"{video.name}.npz")


def _beside(path: Path) -> Columns:
    return _npz(path, leave_out="frames") if path.exists() else {}


def _npz(path: Path, leave_out: str = "") -> Columns:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name != leave_out}
    except (zipfile.BadZipFile, zlib.error, EOFError, TypeError, ValueError) as error:  # TypeError: one bare array
        fix = "is it cut off? Copy it again, or write it by np.savez(path, frames=..., action=...), of numbers only"
        raise ValueError(f"{path} cannot be read as an .npz ({error}): {fix}") from None


def _check_pictures(episodes: Episodes) -> None:
    if (channels := episodes.frames.shape[-1]) not in (1, 3):
        raise ValueError(f"frames of {channels} channels are no pictures: export to games.npz or minari:NAME")


def _blocks(episodes: Episodes) -> Iterator[np.ndarray]:
    for at in range(0, len(episodes), _BLOCK):
        yield episodes.frames[at : at + _BLOCK]


def _to_pngs(episodes: Episodes, folder: Path, watch: Watch) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    done = 0
    for block in _blocks(episodes):
        for frame in block:
            Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame).save(folder / f"{done:08d}.png")
            done += 1
        watch(done, len(episodes))


def _from_pngs(folder: Path) -> Columns:
    from PIL import Image

    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no *.png; one single frame each, in the order of their names")
    pictures = []
    for path in paths:
        with Image.open(path) as image:
            pictures.append(np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB")))
    shapes = {picture.shape for picture in pictures}
    if len(shapes) > 1:
        raise ValueError(f"{folder} holds pictures of several sizes or colours: {sorted(shapes)}")
    return {"frames": np.stack(pictures), **_beside(folder / "columns.npz")}


def _to_video(episodes: Episodes, path: Path, watch: Watch) -> None:
    height, width, channels = episodes.frames.shape[1:]

    def pictures() -> Iterator[np.ndarray]:
        done = 0
        for block in _blocks(episodes):
            yield from block
            done += len(block)
            watch(done, len(episodes))

    encode(path, pictures(), (width, height), 15, grey=channels == 1)


def _video_frames(path: Path, grey: bool) -> np.ndarray:
    if not (frames := list(decode(path, grey))):
        raise ValueError(f"{path} holds no pictures")
    return np.stack(frames)


def _minari() -> Any:
    try:
        import minari  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("Minari is not installed: pip install 'rljax-viz[minari]'") from error
    return minari


def _to_minari(episodes: Episodes, name: str, watch: Watch) -> str:
    minari = _minari()
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer  # pyright: ignore[reportMissingImports]

    if "action" not in episodes:
        raise ValueError(f"{episodes.path} holds no actions; a Minari dataset needs them")
    others = [n for n in episodes.columns if n not in ("frames", "action", "reward", "episode", "stack_start", *_ENDS)]
    buffers = []
    for number, game in enumerate(episodes.episodes):
        rows = slice(game.start, game.stop)
        last = lambda x: np.concatenate([x, x[-1:]])  # noqa: E731  (Minari has one observation more than actions)
        ends = {end: episodes[end][rows].copy() for end in _ENDS}
        recorded = last(ends["truncated"].copy())  # stands among the infos, and comes back as it was
        if not any(values[-1] for values in ends.values()):
            ends["truncated"][-1] = True  # Minari's episodes end
        columns: Any = {
            "observations": last(episodes.frames[rows]), "actions": episodes.action[rows], "rewards": episodes.reward[rows],
            "terminations": ends["terminated"], "truncations": ends["truncated"],
            "infos": {"truncated": recorded, **{other: last(episodes[other][rows]) for other in others}},
        }  # fmt: skip
        buffers.append(EpisodeBuffer(id=number, **columns))
        watch(game.stop, len(episodes))
    names, preset = episodes.attributes.get("action_names") or [], episodes.attributes["preset"]
    minari.create_dataset_from_buffers(
        name, buffers, action_space=spaces.Discrete(max(len(names), int(episodes.action[:].max()) + 1)),
        observation_space=spaces.Box(0, 255, episodes.frames.shape[1:], np.uint8), algorithm_name="rljax_viz",
        description=f"Single frames of {preset['env_id']}, preset {preset['name']}", jpeg_encoding=False,
    )  # fmt: skip
    return f"{len(episodes)} steps in {len(buffers)} episodes to Minari's {name}"


def _from_minari(name: str) -> Columns:
    minari = _minari()
    try:
        dataset = minari.load_dataset(name)
    except FileNotFoundError as error:
        have = ", ".join(sorted(minari.list_local_datasets())) or "none"
        fix = f"minari download {name}"
        raise FileNotFoundError(f"Minari has no local dataset {name!r} (there are: {have}): {fix}") from error
    parts: dict[str, list[np.ndarray]] = {}
    for number, episode in enumerate(dataset.iterate_episodes()):
        count, actions = len(episode.actions), np.asarray(episode.actions)
        row = {
            "frames": np.asarray(episode.observations)[:count],
            "action": actions.astype(np.int32) if actions.dtype.kind in "iu" else actions,
            "reward": np.asarray(episode.rewards, np.float32), "terminated": np.asarray(episode.terminations, bool),
            "truncated": np.asarray(episode.truncations, bool), "episode": np.full(count, number, np.int32),
            # those of our own export hold `truncated` as it was recorded
            **{k: np.asarray(v)[:count] for k, v in (episode.infos or {}).items() if not isinstance(v, dict)},
        }  # fmt: skip
        for column, values in row.items():
            parts.setdefault(column, []).append(values)
    if not parts:
        raise ValueError(f"Minari's {name} holds no episodes")
    whole = {column: values for column, values in parts.items() if len(values) == len(parts["frames"])}
    return {column: np.concatenate(values) for column, values in whole.items()}
