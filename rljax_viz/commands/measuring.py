"""Commands that ask whether the maps are true."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from ..screen import bars, print_agreement, print_gaze, print_health


def gaze(
    agent: Annotated[Positional[str], arg(metavar="AGENT", help="zoo:NAME, a run, module:function or FILE.cleanrl_model")],
    folder: Annotated[Positional[Path], arg(metavar="FOLDER", help="trials of Atari-HEAD: NAME.tar.bz2 and NAME.txt")],
    method: Annotated[
        UseAppendAction[list[str]],
        arg(help="gradient, guided_backprop, grad_cam, ...; several times. `list` says which this agent can be asked for"),
    ] = [],  # noqa: B006
    score: Annotated[
        UseAppendAction[list[str]], arg(help="value, logit:chosen, ...; several times; attention_map needs none")
    ] = [],  # noqa: B006
    layer: Annotated[str | None, arg(help="for the methods that have one; by default the first")] = None,
    most_steps: Annotated[int | None, arg(help="of each trial; by default all")] = None,
    seed: Annotated[int, arg(help="of what shuffled AUC draws, and methods that draw")] = 0,
    update: Annotated[int | None, arg(help="the checkpoint of this update instead of the newest")] = None,
    seed_index: Annotated[int | None, arg(help="which agent of a run of several seeds; by default the first")] = None,
) -> None:
    """Compare an agent's maps with where people looked while they played: NSS, KL divergence, shuffled AUC.

    Of a run the table is kept in RUN/gaze.json, too.

    Example: rljax-viz gaze zoo:Breakout-v5 atari-head/breakout --method guided_backprop --score value --most-steps 500
    """
    from ..runs import evaluate_gaze, load_agent, methods_of
    from ..runs.gaze import over_trials
    from ..runs.past import BUILT_IN

    if not method or not (score or "list" in method or set(method) == {BUILT_IN}):
        raise ValueError("say what to compare: --method NAME and --score NAME; e.g. --method grad_cam --score value")
    loaded = load_agent(agent, update=update, seed_index=seed_index)
    if "list" in method:
        print("\n".join(methods_of(loaded)))
        return
    out = Path(agent) / "gaze.json" if Path(agent).is_dir() else None
    with bars() as watch:
        options = {"layer": layer, "most_steps": most_steps, "seed": seed, "out": out}
        results = evaluate_gaze(loaded, folder, method, score, **options, watch=watch)
    print_gaze([*results, *over_trials(results)])
    if out is not None:
        print(f"also in {out}")


def compare(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="a directory with recorded games")],
    methods: Annotated[str, arg(help="a,b,c: each against every other; by default the network's attention against all")] = "",
    score: Annotated[str, arg(help="what the methods explain: value, logit:chosen, ...")] = "value",
    layer: Annotated[str | None, arg(help="for the methods that have one; by default the first")] = None,
    frames: Annotated[int, arg(help="recorded steps, evenly spread")] = 64,
    agent: Annotated[str | None, arg(help="who explains; by default who played")] = None,
    seed: Annotated[int, arg(help="of methods that draw at random")] = 0,
    update: Annotated[int | None, arg(help="the checkpoint that played, where it is not the newest")] = None,
    seed_index: Annotated[int | None, arg(help="which agent of a run of several seeds")] = None,
) -> None:
    """Compare methods with each other, or with the attention built into a network: correlation of their maps.

    Example: rljax-viz compare runs/demo --methods gradient,guided_backprop,grad_cam
    """
    from ..runs import compare_run, load_agent

    names = [name.strip() for name in methods.split(",") if name.strip()]
    with bars() as watch:
        options = {"layer": layer, "frames": frames, "seed": seed, "any_checkpoint": agent is not None}
        loaded = load_agent(agent or run, update=update, seed_index=seed_index)
        found = compare_run(loaded, run, names, score, **options, watch=watch)
    print_agreement(found)
    print(f"also in {run / 'compare.json'}")


def health(
    agent: Annotated[Positional[str], arg(metavar="RUN", help="a run (all its checkpoints), zoo:NAME, module:function")],
    frames: Annotated[int, arg(help="steps that are played, at random, and shown to the network")] = 256,
    seed: Annotated[int, arg(help="of the random actions")] = 0,
    seed_index: Annotated[int | None, arg(help="which agent of a run of several seeds")] = None,
) -> None:
    """Ask whether a network can learn: do the gradients of each stream reach its layers, do units fire, are streams and
    stacks right, do guided gradients and G1-Grad-CAM lie on what moves?

    Finds what a reward shows late or never. Exit status 1 where the newest checkpoint has a fault.

    Example: rljax-viz health runs/Breakout-MinAtar-ppo-minatar-0
    """
    from ..runs import check_health

    with bars() as watch:
        checkups = check_health(agent, frames=frames, seed=seed, seed_index=seed_index, watch=watch)
    print_health(checkups)
    if checkups[-1].faults:
        raise SystemExit(1)
