"""Figures 2-5, 10-12 and 16: states and keys in one plane, keys turned into frames, states that they agree with, paths.

The paper draws keys of value 25, and the states that give them more than 0.9 of their attention; here the plane holds all
states, and the keys that they look at most.
"""

import functools
from typing import Any

import numpy as np

from experiments.claims import Claim, judge
from experiments.idqn.agents import (
    Seen,
    about,
    as_picture,
    channels_of,
    legend,
    main_game,
    network_of,
    train,
    watched,
)
from experiments.pictures import write_pictures
from experiments.scale import Experiment, Tiny, launch

GAMES = ("MsPacman-v5", "SpaceInvaders-v5", "Qbert-v5", "Pong-v5")  # at paper scale
ITERATIONS = 3_000  # of t-SNE: FACTS I11


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


def of_double_dqn(at: Experiment, game: str, tiny: bool) -> tuple[np.ndarray, np.ndarray]:
    """Figure 2d: what double DQN's last hidden layer makes of its own states, [N E], and the action[N] that it takes."""
    import jax

    from rljax_viz.runs import load_agent, record
    from rljax_viz.store import Episodes
    from rljax_viz.transforms import activations

    agent = load_agent(train(at, game, "double-dqn", tiny=tiny))
    folder = at.folder.parent / "recordings" / f"{agent.preset.env_id}-double-dqn-{agent.checkpoint}"
    record(agent, folder, 1000, max_steps=64 if tiny else 1000, seed=3, epsilon=0.05, overwrite=True)
    obs = np.asarray(Episodes(folder / "episodes.zarr").observations[:])

    def one(state: Any) -> Any:
        out, layers = activations(agent.f)(agent.params, state)
        return layers["fc"], out.q.argmax()

    embedding, action = jax.jit(lambda x: jax.lax.map(one, x, batch_size=32))(obs)
    return np.asarray(embedding), np.asarray(action)


def beside_alike(embedding: np.ndarray, action: np.ndarray, count: int = 10) -> tuple[float, float]:
    """How many of the `count` nearest of each state of embedding[N E] take its action, and how many any states would."""
    square = (embedding**2).sum(1)
    distance = square[:, None] + square - 2 * embedding @ embedding.T
    np.fill_diagonal(distance, np.inf)
    near = np.argsort(distance, 1)[:, : min(count, len(action) - 1)]
    often = np.bincount(action) / len(action)
    return float((action[near] == action[:, None]).mean()), float((often**2).sum())


def plane(at: Experiment, agent: Any, seen: Seen, found: dict[str, np.ndarray], key: int, tiny: bool) -> dict[str, Any]:
    """Figure 2: t-SNE of states and of every action's key of one value, and of double DQN's states.

    Says how near a key is to the states of its action, and whether states lie beside those of the same action.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from rljax_viz.features import tsne

    keys, values, _ = keys_of(agent)
    points = np.concatenate([found["embedding"], keys[:, key]])
    flat = tsne(points, perplexity=min(75, len(points) // 4), iterations=ITERATIONS)
    states, marks = flat[: len(seen.action)], flat[len(seen.action) :]
    other, taken = of_double_dqn(at, agent.preset.env_id, tiny)
    figure = Figure((11, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    axis, beside = figure.subplots(1, 2)
    for action, name in enumerate(agent.action_names):
        colour, mine = f"C{action}", seen.action == action
        axis.plot(*states[mine].T, ".", ms=4, alpha=0.5, color=colour, label=f"{mine.sum()} states with {name} as best")
    for action, name in enumerate(agent.action_names):
        axis.plot(*marks[action], "s", ms=11, mec="black", color=f"C{action}", label=f"key of {name}")
    axis.set(xticks=[], yticks=[], xlabel="t-SNE, first axis", ylabel="t-SNE, second axis")
    axis.set_title(f"i-DQN: embeddings of states, and the keys of value {values[key]:.1f}", fontsize=11)
    flat = tsne(other, perplexity=min(75, len(other) // 4), iterations=ITERATIONS)
    for action in range(len(agent.action_names)):
        beside.plot(*flat[taken == action].T, ".", ms=4, alpha=0.5, color=f"C{action}")
    beside.set(xticks=[], yticks=[], xlabel="t-SNE, first axis")
    beside.set_title("double DQN: its last hidden layer on its own states", fontsize=11)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False, markerscale=0.8)
    at.folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(at.folder / f"{prefix(at, agent)}figure2.png", dpi=110)
    told = similarity(found["embedding"], seen.action, keys[:, key])
    return {**told, "beside": beside_alike(found["embedding"], seen.action), "double": beside_alike(other, taken)}


def prefix(at: Experiment, agent: Any) -> str:
    """What the names of a game's pictures begin with, where there are several games."""
    return at.choose("", f"{agent.preset.env_id}-")


def similarity(embedding: np.ndarray, action: np.ndarray, keys: np.ndarray) -> dict[str, Any]:
    """Mean dot product of embedding[N E] with keys[A E]: each key with its own action's states, and with all others.

    Actions that no state has, or all states have, are left out; None where no action is left.
    """
    told = [a for a in range(len(keys)) if 0 < (action == a).sum() < len(action)]
    own = [float((embedding[action == a] @ keys[a]).mean()) for a in told]
    others = [float((embedding[action != a] @ keys[a]).mean()) for a in told]
    return {"own": float(np.mean(own)), "others": float(np.mean(others))} if told else {"own": None, "others": None}


def pictures(at: Experiment, agent: Any, seen: Seen, found: dict[str, np.ndarray], key: int) -> dict[str, Any]:
    """Figures 3, 4, 10-12 (inverted keys), 5 (states that agree with one) and 16 (from a key to a state)."""
    from rljax_viz.features import latent_path
    from rljax_viz.networks import decode

    keys, values, frames = keys_of(agent)
    c, words = channels_of(agent), legend(agent.preset.env_id)
    file = lambda name: at.folder / f"{prefix(at, agent)}{name}.png"  # noqa: E731
    n = len(values)
    shown = sorted({0, n // 4, 11 * n // 20, n - 1, key}, reverse=True)  # of 20: -25, -12, 4 and 25, as in figure 11
    rows = {
        f"value {values[i]:.1f}" + "\n(most looked at)" * (i == key): {
            name: as_picture(frames[a, i], c) for a, name in enumerate(agent.action_names)
        }
        for i in shown
    }
    foot = "No state goes into these: each is what one key of the network decodes to."
    names = [write_pictures(file("inverted-keys"), rows, "Keys turned back into frames", foot, words)]
    weight = found["weights"][np.arange(len(seen.action)), seen.action]
    sure = surest(weight, seen)
    best = weight[sure].argmax(1)
    labels = [
        f"{agent.action_names[seen.action[i]]}, {values[k]:.1f}\n({weight[i, k]:.0%} of attention)"
        for i, k in zip(sure, best, strict=True)
    ]
    agree = {
        "state": {label: as_picture(seen.obs[i].astype(np.float32), c) for label, i in zip(labels, sure, strict=True)},
        "its key": {
            label: as_picture(frames[seen.action[i], k], c) for label, i, k in zip(labels, sure, best, strict=True)
        },
    }
    foot = "Above each: the best action, and the value of the key that the state looks at most. Below: that key, decoded."
    names.append(write_pictures(file("figure5"), agree, "States, and the key each looks at most", foot, words))
    i = int(sure[0])
    path = latent_path(
        functools.partial(decode, network_of(agent), agent.params), keys[seen.action[i], best[0]], found["embedding"][i], 6
    )
    steps = {f"{t:.1f}": as_picture(frame, c) for t, frame in zip(np.linspace(0, 1, 6), np.asarray(path), strict=True)}
    steps = {"the key: 0": steps.pop("0.0"), **steps}
    steps["the state: 1"] = steps.pop("1.0")
    foot = f"Decoded along the straight line between both embeddings. The key: {labels[0].splitlines()[0]}."
    names.append(write_pictures(file("figure16"), {"": steps}, "From a key to a state", foot, words))
    return {"names": names, "sure": float(weight.max(1).mean()), "even": 1 / len(values)}


def surest(weight: np.ndarray, seen: Seen, count: int = 4) -> list[int]:
    """Of each pair of action and key the state that looks at it most, weight[N keys]; the `count` that look most of all."""
    first: dict[tuple[int, int], int] = {}
    for i in np.argsort(-weight.max(1)).tolist():
        first.setdefault((int(seen.action[i]), int(weight[i].argmax())), i)
    return list(first.values())[:count]


def claims(drawn: dict[str, Any], near: dict[str, Any], of: str) -> list[Claim]:
    """What the paper says of keys; `of` is the game, where there are several."""
    some = near["own"] is not None
    chance = {who: near[who][1] for who in ("beside", "double")}
    lift = {who: (near[who][0] - chance[who]) / max(1 - chance[who], 1e-9) for who in chance}
    return [
        judge(
            f"Fig. 2{of}",
            "keys lie with the states of their action: a key is more similar to its own action's states than to others",
            near["own"] > near["others"] if some else None,
            f"mean dot product {near['own']:.2f} with its own, {near['others']:.2f} with other actions' states"
            if some
            else "one action is the best in every state",
        ),
        judge(
            f"Fig. 2d{of}",
            "double DQN's embeddings are harder to separate by action than i-DQN's",
            lift["beside"] > lift["double"] if max(chance.values()) < 0.95 else None,
            "of the ten nearest states, those that take the same action: "
            + ", ".join(f"{label} {near[who][0]:.0%} ({near[who][1]:.0%} by chance)"
                        for label, who in (("i-DQN", "beside"), ("double DQN", "double"))),
        ),
        judge(
            f"Attention maps{of}",
            "attention concentrates on few keys",
            drawn["sure"] > 3 * drawn["even"],
            f"mean largest weight {drawn['sure']:.2f}; spread evenly it would be {drawn['even']:.2f} (held to 3 times that)",
        ),
        judge(f"Figs. 3, 4, 10-12{of}", "inverted keys show where the player's object is", None,
              "for the eye: inverted-keys.png"),
    ]  # fmt: skip


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    from rljax_viz.runs import load_agent

    judged, names = [], []
    for game in at.choose((main_game(at),), GAMES):
        agent = load_agent(train(at, game, tiny=tiny))
        seen, found = watched(at, agent, 64 if tiny else 1000)
        key, of = favourite(found, seen), at.choose("", f"{game}-")
        drawn = at.part(f"{of}pictures", lambda a=(agent, seen, found, key): pictures(at, *a))
        near = at.part(f"{of}plane", lambda a=(agent, seen, found, key): plane(at, *a, tiny))
        judged += claims(drawn, near, at.choose("", f", {game}"))
        names += [f"{of}figure2.png", *drawn["names"]]
    at.report("i-DQN, figures 2-5, 10-12, 16: what the keys are", judged, (), names, about(at))


if __name__ == "__main__":
    launch(main, __file__)
