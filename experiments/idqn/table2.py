"""Table 2 and figure 6: do decoded keys say what the agent does, by four ways to reconstruct?"""

from typing import Any

from experiments.claims import Table, judge
from experiments.idqn.agents import (
    DECODERS,
    about,
    as_picture,
    channels_of,
    decoders,
    legend,
    main_game,
    network_of,
    watched,
)
from experiments.pictures import write_pictures
from experiments.scale import Experiment, Tiny, launch

#: percent, MsPacman, grey and in colour
PAPER = {"AE": 19.87, "VAE, beta 0": 18.14, "VAE, beta 0.01": 10.97, "dense VAE": 14.56}
EXPLORATION = 0.01  # lambda_exp: how much uncertainty speaks for an action, here and in the space of images
PAPER_COLOUR = {"AE": 30.76, "VAE, beta 0": 29.78, "VAE, beta 0.01": 16.8, "dense VAE": 23.73}


def measured(at: Experiment, label: str, run: Any, tiny: bool) -> dict[str, Any]:
    """Agreement on the agent's own games, centred and raw; the error of reconstructing states; a row of pictures."""
    import functools

    import numpy as np

    from rljax_viz.features import invert_keys
    from rljax_viz.networks import decode
    from rljax_viz.runs import load_agent

    agent = load_agent(run)
    seen, found = watched(at, agent, 64 if tiny else at.choose(1000, 5000))  # the paper: five rollouts
    action = (found["q"] + EXPLORATION * found["uncertainty"]).argmax(1)  # by the rule of the image space
    frames = np.asarray(
        invert_keys(functools.partial(decode, network_of(agent), agent.params), agent.params["params"]["keys"])
    )
    values, mean = (np.asarray(agent.params["constants"][name]) for name in ("values", "mean"))
    raw = seen.obs.astype(np.float32)
    centred, chance = agreed(raw - mean, action, frames - mean, values)
    plain, _ = agreed(raw, action, frames, values)
    error = float(0.5 * (((found["reconstruction"] - raw) / 255) ** 2).sum((1, 2, 3)).mean())
    used = np.bincount(action, minlength=len(agent.action_names)) / len(action)
    c, best = channels_of(agent), found["q"].max(1).argmax()
    taken, key = int(seen.action[best]), int(found["weights"][best, seen.action[best]].argmax())
    shown = {"a state": raw[best], "it, reconstructed": found["reconstruction"][best]}
    shown[f"its key: {agent.action_names[taken]}, {values[key]:.1f}"] = frames[taken, key]
    return {
        "centred": centred,
        "raw": plain,
        "error": error,
        "even": 1 / len(used),
        "chance": chance,
        "deviation": float(np.sqrt(centred * (1 - centred) / len(action))),
        "most": float(used.max()),
        "pictures": {name: as_picture(frame, c).tolist() for name, frame in shown.items()},
    }


def agreed(states: Any, action: Any, images: Any, values: Any) -> tuple[float, float]:
    """The agreement on states[M H W C], and what it would be if the image space chose as often but blindly."""
    import jax
    import numpy as np

    from rljax_viz.measure import image_space_action

    choose = lambda state: image_space_action(state, images, values, EXPLORATION)  # noqa: E731
    chosen = np.asarray(jax.jit(lambda x: jax.lax.map(choose, x, batch_size=32))(states))
    often = [np.bincount(x, minlength=len(images)) / len(action) for x in (chosen, action)]
    return float((chosen == action).mean()), float(often[0] @ often[1])


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    import numpy as np

    runs = decoders(at, tiny)
    found = {label: at.part(label, lambda n=label: measured(at, n, runs[n], tiny)) for label in DECODERS}
    in_colour = decoders(at, tiny, colour=True) if at.choose(False, True) else {}
    coloured = {
        f"{label} (colour)": at.part(f"{label} (colour)", lambda n=label: measured(at, n, in_colour[n], tiny))
        for label in in_colour
    }
    pictures = {
        label: {name: np.array(picture, np.uint8) for name, picture in one["pictures"].items()}
        for label, one in found.items()
    }
    title = "A state, its reconstruction, and the key it looks at most"
    foot = "Of each agent's own games the state with the largest q."
    picture = write_pictures(at.folder / "figure6.png", pictures, title, foot, legend(main_game(at)))
    percents = {**PAPER, **{f"{label} (colour)": percent for label, percent in PAPER_COLOUR.items()}}
    rows = [
        (label, *(one[name] for name in ("centred", "chance", "most", "raw", "error")), percents[label] / 100)
        for label, one in {**found, **coloured}.items()
    ]
    ae, low = found["AE"], found["VAE, beta 0.01"]
    told = "; ".join(f"{label} {one['centred']:.1%}" for label, one in found.items())
    claims = [
        judge(
            "Table 2",
            "the auto-encoder's keys agree with the actions more often than chance",
            ae["centred"] - max(ae["chance"], ae["even"]) > 2 * ae["deviation"],
            f"{ae['centred']:.1%} +- {2 * ae['deviation']:.1%}; choosing as often but blindly {ae['chance']:.1%}, "
            f"evenly {ae['even']:.1%}, always the most frequent action {ae['most']:.1%}",
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
    if coloured:
        better = [label for label, one in found.items() if coloured[f"{label} (colour)"]["centred"] > one["centred"]]
        claims.append(
            judge(
                "Table 2",
                "in colour every decoder's keys agree more often than in grey",
                len(better) == len(found),
                f"it is so for {', '.join(better) or 'none'}",
            )
        )
    else:
        claims.append(judge("Table 2", "in colour every decoder's keys agree more often than in grey", None,
                            "frames of 210x160x12 are learned from at paper scale"))  # fmt: skip
    header = ("decoder", "agreement, centred images", "choosing as often, blindly", "always the most frequent action",
              "agreement, raw images", "error of states", "agreement in the paper")  # fmt: skip
    notes = [
        "Centred: the mean frame is taken off states and keys alike; the paper does not say which it compared. Error of "
        "states: half the squared error of reconstructing them, in units of 255, summed over a frame."
    ]
    at.report(
        "i-DQN, table 2 and figure 6: agreement",
        claims,
        [Table("Agreement", header, rows)],
        [picture],
        [*notes, *about(at)],
    )


if __name__ == "__main__":
    launch(main, __file__)
