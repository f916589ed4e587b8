"""Figures 2-5, 10-12 and 16: states and keys in one plane, keys turned into frames, states that they agree with, paths."""

import functools
from typing import Any

import numpy as np

from experiments.claims import judge
from experiments.idqn.agents import (
    SMALL,
    Seen,
    as_picture,
    channels_of,
    main_game,
    network_of,
    outputs,
    sheet,
    train,
    watched,
)
from experiments.scale import Experiment, Tiny, launch


def keys_of(agent: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """keys[A N E], values[N], and the keys as frames [A N H W C]."""
    from rljax_viz.features import invert_keys
    from rljax_viz.networks import decode

    keys = agent.params["params"]["keys"]
    frames = invert_keys(functools.partial(decode, network_of(agent), agent.params), keys)
    return np.asarray(keys), np.asarray(agent.params["constants"]["values"]), np.asarray(frames)


def favourite(found: dict[str, np.ndarray], seen: Seen) -> int:
    """The key that all states look at most, over the actions taken: an index into the values."""
    taken = found["weights"][np.arange(len(seen.action)), seen.action]
    return int(taken.mean(0).argmax())


def plane(at: Experiment, agent: Any, seen: Seen, found: dict[str, np.ndarray], key: int) -> dict[str, Any]:
    """Figure 2: t-SNE of states and of every action's key of one value; how near a key is to the states of its action."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from rljax_viz.features import tsne

    keys, values, _ = keys_of(agent)
    points = np.concatenate([found["embedding"], keys[:, key]])
    flat = tsne(points, perplexity=min(75, len(points) // 4))
    states, marks = flat[: len(seen.action)], flat[len(seen.action) :]
    figure = Figure((6.4, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for action, name in enumerate(agent.action_names):
        colour, mine = f"C{action}", seen.action == action
        axis.plot(*states[mine].T, ".", ms=4, alpha=0.5, color=colour)
        axis.plot(*marks[action], "s", ms=11, mec="black", color=colour, label=name)
    axis.set(xticks=[], yticks=[], title=f"States by action taken, and keys of value {values[key]:.0f} (squares)")
    axis.legend(fontsize=8, frameon=False)
    at.folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(at.folder / "figure2.png", dpi=110)
    own = [
        (found["embedding"][seen.action == a] @ keys[a, key]).mean() for a in range(len(keys)) if (seen.action == a).any()
    ]
    others = [
        (found["embedding"][seen.action != a] @ keys[a, key]).mean() for a in range(len(keys)) if (seen.action == a).any()
    ]
    return {"own": float(np.mean(own)), "others": float(np.mean(others))}


def pictures(at: Experiment, agent: Any, seen: Seen, found: dict[str, np.ndarray], key: int) -> dict[str, Any]:
    """Figures 3, 4, 10-12 (inverted keys), 5 (states that agree with one) and 16 (from a key to a state)."""
    from rljax_viz.features import latent_path
    from rljax_viz.networks import decode

    keys, values, frames = keys_of(agent)
    c = channels_of(agent)
    shown = sorted({int(i) for i in np.linspace(0, len(values) - 1, 4)} | {key}, reverse=True)
    cells = {
        f"{name}, {values[i]:.0f}": as_picture(frames[a, i], c) for i in shown for a, name in enumerate(agent.action_names)
    }
    names = [
        sheet(
            at.folder / "inverted-keys.png",
            cells,
            "Keys turned back into frames: action, value",
            "No state goes into these: each is what one key of the network decodes to.",
            len(agent.action_names),
        )
    ]
    weight = found["weights"][np.arange(len(seen.action)), seen.action]
    sure = np.argsort(-weight.max(1))[:: max(1, len(weight) // 8)][:4]
    agree = {}
    for k, i in enumerate(sure):
        best, name = int(weight[i].argmax()), agent.action_names[seen.action[i]]
        agree[f"state {i}" + " " * k] = as_picture(seen.obs[i].astype(np.float32), c)
        agree[f"({name}, {values[best]:.0f})" + " " * k] = as_picture(frames[seen.action[i], best], c)
    names.append(sheet(at.folder / "figure5.png", agree, "States, and the key each looks at most", "", 4))
    i = int(sure[0])
    path = latent_path(
        functools.partial(decode, network_of(agent), agent.params),
        keys[seen.action[i], weight[i].argmax()],
        found["embedding"][i],
        6,
    )
    steps = {f"{t:.1f}": as_picture(frame, c) for t, frame in zip(np.linspace(0, 1, 6), np.asarray(path), strict=True)}
    names.append(sheet(at.folder / "figure16.png", steps, "From a key (0) to a state (1)", "", 6))
    return {"names": names, "sure": float(weight.max(1).mean()), "even": 1 / len(values)}


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    from rljax_viz.runs import load_agent

    agent = load_agent(train(at, main_game(at), tiny=tiny))
    seen = watched(at, agent, 64 if tiny else 1000)
    found = outputs(agent, seen.obs)
    key = favourite(found, seen)
    drawn = at.part("pictures", lambda: pictures(at, agent, seen, found, key))
    near = at.part("plane", lambda: plane(at, agent, seen, found, key))
    claims = [
        judge(
            "Fig. 2",
            "keys lie with the states of their action: a state is more similar to its own action's key than to others'",
            near["own"] > near["others"],
            f"mean dot product {near['own']:.2f} with its own, {near['others']:.2f} with other actions' states",
        ),
        judge(
            "Attention maps",
            "attention concentrates on few keys",
            drawn["sure"] > 3 * drawn["even"],
            f"mean largest weight {drawn['sure']:.2f}; spread evenly it would be {drawn['even']:.2f}",
        ),
        judge("Figs. 3, 4", "inverted keys show where the player's object is", None, "for the eye: inverted-keys.png"),
    ]
    at.report(
        "i-DQN, figures 2-5, 10-12, 16: what the keys are",
        claims,
        (),
        ["figure2.png", *drawn["names"]],
        [SMALL] if at.smoke else [],
    )


if __name__ == "__main__":
    launch(main, __file__)
