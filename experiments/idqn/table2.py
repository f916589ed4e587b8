"""Table 2 and figure 6: do decoded keys say what the agent does, by four ways to reconstruct?"""

from typing import Any

from experiments.claims import Table, judge
from experiments.idqn.agents import (
    DECODERS,
    SMALL,
    as_picture,
    channels_of,
    decoders,
    network_of,
    outputs,
    sheet,
    watched,
)
from experiments.scale import Experiment, Tiny, launch

#: percent, MsPacman, grey
PAPER = {"AE": 19.87, "VAE, beta 0": 18.14, "VAE, beta 0.01": 10.97, "dense VAE": 14.56}


def measured(at: Experiment, label: str, run: Any, tiny: bool) -> dict[str, Any]:
    """Agreement on the agent's own games, centred and raw; the error of reconstructing states; a row of pictures."""
    import functools

    import numpy as np

    from rljax_viz.features import invert_keys
    from rljax_viz.measure import agreement
    from rljax_viz.networks import decode
    from rljax_viz.runs import load_agent

    agent = load_agent(run)
    seen = watched(at, agent, 64 if tiny else 1000)
    found = outputs(agent, seen.obs)
    frames = np.asarray(
        invert_keys(functools.partial(decode, network_of(agent), agent.params), agent.params["params"]["keys"])
    )
    values, mean = (np.asarray(agent.params["constants"][name]) for name in ("values", "mean"))
    raw = seen.obs.astype(np.float32)
    centred = float(agreement(raw - mean, seen.action, frames - mean, values, 0.01))
    plain = float(agreement(raw, seen.action, frames, values, 0.01))
    error = float(0.5 * (((found["reconstruction"] - raw) / 255) ** 2).sum((1, 2, 3)).mean())
    used = np.bincount(seen.action, minlength=len(agent.action_names)) / len(seen.action)
    c, best = channels_of(agent), found["q"].max(1).argmax()
    action, key = int(seen.action[best]), int(found["weights"][best, seen.action[best]].argmax())
    shown = {f"{label}: a state": as_picture(raw[best], c), "reconstructed": as_picture(found["reconstruction"][best], c)}
    shown[f"its key: {agent.action_names[action]}, {values[key]:.0f}"] = as_picture(frames[action, key], c)
    pictures = {name: picture.tolist() for name, picture in shown.items()}
    return {
        "centred": centred,
        "raw": plain,
        "error": error,
        "chance": 1 / len(used),
        "most": float(used.max()),
        "pictures": pictures,
    }


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    import numpy as np

    runs = decoders(at, tiny)
    found = {label: at.part(label, lambda n=label: measured(at, n, runs[n], tiny)) for label in DECODERS}
    cells = {
        name if name.startswith(label) else f"{name}" + " " * k: np.array(picture, np.uint8)
        for k, (label, one) in enumerate(found.items())
        for name, picture in one["pictures"].items()
    }
    picture = sheet(at.folder / "figure6.png", cells, "A state, its reconstruction, and the key it looks at most", "", 3)
    rows = [(label, one["centred"], one["raw"], one["error"], PAPER[label] / 100) for label, one in found.items()]
    ae, low = found["AE"], found["VAE, beta 0.01"]
    told = "; ".join(f"{label} {one['centred']:.1%}" for label, one in found.items())
    claims = [
        judge(
            "Table 2",
            "the auto-encoder's keys agree with the actions more often than chance",
            ae["centred"] > ae["chance"],
            f"{ae['centred']:.1%}; chance {ae['chance']:.1%}, the most frequent action {ae['most']:.1%}",
        ),
        judge(
            "Table 2",
            "agreement is far from 80 %: keys do not explain all that the agent does",
            max(one["centred"] for one in found.values()) < 0.8,
            told,
        ),
        judge(
            "Table 2",
            "beta = 0.01 agrees least often",
            low["centred"] == min(one["centred"] for one in found.values()),
            told,
        ),
        judge(
            "Fig. 6",
            "beta = 0.01 reconstructs worse than beta = 0",
            low["error"] > found["VAE, beta 0"]["error"],
            f"half the squared error {low['error']:.2f} against {found['VAE, beta 0']['error']:.2f}",
        ),
    ]
    header = ("decoder", "agreement, centred images", "agreement, raw images", "error of states", "in the paper (grey)")
    notes = [
        "Centred: the mean frame is taken off states and keys alike. The paper does not say which it compared (FACTS I12)."
    ]
    at.report(
        "i-DQN, table 2 and figure 6: agreement",
        claims,
        [Table("Agreement", header, rows)],
        [picture],
        [*notes, *([SMALL] if at.smoke else [])],
    )


if __name__ == "__main__":
    launch(main, __file__)
