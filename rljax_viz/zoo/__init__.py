"""The trained agents that ship: `<name>.safetensors` (float16) beside `<name>.json`, its card."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["card", "names", "packed", "read_weights", "unpacked", "write_agent"]

_HERE = Path(str(files("rljax_viz.zoo")))


def names() -> list[str]:
    """The agents of the zoo, by name."""
    return sorted(path.stem for path in _HERE.glob("*.json"))


def card(name: str) -> dict[str, Any]:
    """What is known of an agent: command, seed, steps, score over how many episodes, commit, preset, network.

    Raises ValueError for a name that the zoo does not have.
    """
    if name not in names():
        raise ValueError(f"the zoo has no agent {name!r}; it has {names()}")
    return json.loads((_HERE / f"{name}.json").read_text())


def read_weights(name: str) -> dict[str, np.ndarray]:
    """The parameters of an agent as `{"conv1/kernel": float32, ...}`."""
    from safetensors.numpy import load_file

    card(name)
    return {key: value.astype(np.float32) for key, value in load_file(_HERE / f"{name}.safetensors").items()}


def write_agent(folder: Path, name: str, weights: dict[str, np.ndarray], card: dict[str, Any]) -> Path:
    """Writes `weights` as float16 with `card` beside; gives the path of the card.

    Raises ValueError where a weight does not fit into float16.
    """
    from safetensors.numpy import save_file

    with np.errstate(over="ignore"):  # what overflows is infinite, and refused below
        half = {key: np.asarray(value).astype(np.float16) for key, value in weights.items()}
    if bad := [key for key, value in half.items() if not np.isfinite(value).all()]:
        raise ValueError(f"{bad} do not fit into float16 (65,504 is its largest number)")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(half, folder / f"{name}.safetensors", metadata={"card": f"{name}.json"})
    path = folder / f"{name}.json"
    path.write_text(json.dumps(card, indent=2) + "\n")
    return path


def packed(params: dict[str, Any]) -> dict[str, Any]:
    """What is written of `params`: the trained ones as they are, other collections under `@name`."""
    return {**params["params"], **{f"@{name}": tree for name, tree in params.items() if name != "params"}}


def unpacked(weights: dict[str, Any]) -> dict[str, Any]:
    """`params` again, out of what `packed` gave."""
    others = {name[1:]: tree for name, tree in weights.items() if name.startswith("@")}
    return {"params": {name: tree for name, tree in weights.items() if not name.startswith("@")}, **others}
