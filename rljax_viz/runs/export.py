"""From a finished run to an agent of the zoo: float16 weights, and a card that says where they came from."""

import subprocess
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from .. import zoo
from .agent import Agent, load_agent, parameter_hash
from .play import EPSILON, evaluate


def export_agent(
    run: Path, name: str, folder: Path, *, command: str, episodes: int = 30, seed: int = 1000, greedy: bool = False
) -> Path:
    """Writes `folder/name.safetensors` and its card; gives the path of the card.

    The score is that of the float16 weights that ship, over `episodes` whole games with actions drawn from the policy.
    """
    agent = load_agent(run)
    weights: dict[str, Any] = dict(flax.traverse_util.flatten_dict(zoo.packed(agent.params), sep="/"))
    halved = {key: np.asarray(value).astype(np.float16).astype(np.float32) for key, value in weights.items()}
    shipped = agent._replace(params=zoo.unpacked(flax.traverse_util.unflatten_dict(halved, sep="/")))
    score = evaluate(shipped, episodes, seed=seed, greedy=greedy)
    return zoo.write_agent(folder, name, weights, _card(agent, shipped, name, command, score, seed, greedy))


def _card(agent: Agent, shipped: Agent, name: str, command: str, score: Any, seed: int, greedy: bool) -> dict[str, Any]:
    config = agent.card["config"]
    return {
        "name": name, "env_id": agent.preset.env_id, "algo": agent.card["algo"], "network": agent.network,
        "network_options": config["network_options"], "seed": agent.card["seed"], "steps": agent.card["steps"],
        "command": command, "commit": commit(),
        "score": {
            "mean": round(float(score.returns.mean()), 2), "std": round(float(score.returns.std(ddof=1)), 2),
            "min": float(score.returns.min()), "max": float(score.returns.max()), "episodes": len(score.returns),
            "policy": _policy(agent, greedy), "evaluation_seed": seed,
            "mean_length": round(float(score.lengths.mean()), 1),
        },
        "checkpoint": parameter_hash(shipped.params), "action_names": list(agent.action_names),
        "obs_shape": list(agent.obs_shape), "preset": agent.preset.to_json(), "algorithm": config["algorithm"],
        "num_envs": config["num_envs"], "version": config["version"],
    }  # fmt: skip


def _policy(agent: Agent, greedy: bool) -> str:
    """How actions were chosen, in words."""
    out = jax.eval_shape(agent.f, agent.params, jnp.zeros(agent.obs_shape, jnp.uint8))
    chosen = "stochastic" if out.logits is not None else f"epsilon {EPSILON:g}"
    return "greedy" if greedy else chosen


def commit() -> str:
    """The commit of the source tree that this package runs from, or "unknown" outside of one."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
