"""Commands that let agents play, and that list those who ship."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ..screen import bars, print_agents, print_episodes

Out = Annotated[Path | None, arg(help="directory to write to; by default runs/<what>")]


def play(
    agent: Annotated[Positional[str], arg(metavar="RUN", help="a run's directory, or zoo:NAME")],
    episodes: Annotated[int, arg(help="whole games to play")] = 30,
    record: Annotated[bool, arg(help="write every step to the run's episodes.zarr")] = False,
    greedy: Annotated[bool, arg(help="take the best action instead of drawing one from the policy")] = False,
    epsilon: Annotated[float, arg(help="part of random actions of an agent that has q-values and no policy")] = 0.05,
    seed: Annotated[int, arg(help="of the games and of actions drawn at random")] = 0,
    seed_index: Annotated[int | None, arg(help="which agent of a run of several seeds; by default the first")] = None,
    update: Annotated[int | None, arg(help="the checkpoint of this update instead of the newest")] = None,
    max_steps: Annotated[int | None, arg(help="with --record: stop after so many steps")] = None,
    env: Annotated[str | None, arg(help="refused unless it is the one that the agent knows")] = None,
    preset: Annotated[str | None, arg(help="refused unless the agent sees the same through it")] = None,
    also: Annotated[str | None, arg(help="a game that looks the same, to report beside: BreakoutInfinite-v5")] = None,
    out: Out = None,
    overwrite: Annotated[bool, arg(help="replace what was recorded before, and its maps")] = False,
) -> None:
    """Let an agent play: its score over many games, or (--record) every step of some games, for `explain`.

    Example: rljax-viz play zoo:Breakout-MinAtar --episodes 30
    """
    from ..envs import make_preset
    from ..runs import evaluate, load_agent
    from ..runs import record as record_games
    from ..store import Episodes

    if not record and (overwrite or max_steps is not None or out is not None):
        raise ValueError("--out, --overwrite and --max-steps are about recorded games: add --record, or leave them out")
    loaded = load_agent(agent, update=update, seed_index=seed_index)
    view = loaded.preset.for_evaluation()
    if (env or view.env_id, preset or view.name) != (view.env_id, view.name):  # what an algorithm changes of it has no name
        view = make_preset(preset or view.name, env or view.env_id).for_evaluation()
    if record and also:
        raise ValueError("--also reports a second score and records nothing: leave one of --also and --record out")
    if record:
        where = out or (Path("runs") / agent.removeprefix("zoo:") if agent.startswith("zoo:") else Path(agent))
        games = loaded.make_env(1, recording=True, preset=view)
        with bars() as watch:
            path = record_games(
                loaded, where, episodes, greedy=greedy, epsilon=epsilon, seed=seed, max_steps=max_steps,
                overwrite=overwrite, env=games, watch=lambda rows, _: watch("steps played", rows, 0),
            )  # fmt: skip
        print_episodes(path)
        score = "value" if "value" in Episodes(path) else "q:greedy"
        print(f"Next: rljax-viz explain {where} --method guided_backprop --score {score}")
        return
    for game in [view.env_id, *([also] if also else [])]:
        games = loaded.make_env(max(1, min(episodes, 32)), preset=view, like=game)
        with bars() as watch:
            result = evaluate(
                loaded, episodes, greedy=greedy, epsilon=epsilon, seed=seed, env=games,
                watch=lambda done, all, game=game: watch(f"games of {game}", done, all),
            )  # fmt: skip
        spread = result.returns.std(ddof=1) if episodes > 1 else 0.0
        print(
            f"{loaded.name}{f' at {game}' if also else ''}: return {result.returns.mean():.2f} +- {spread:.2f} (standard "
            f"deviation) over {episodes} games, from {result.returns.min():g} to {result.returns.max():g}; "
            f"{result.lengths.mean():.0f} steps a game"
        )


def zoo() -> None:
    """List the trained agents that ship, with their scores.

    Example: rljax-viz zoo
    """
    from .. import zoo as agents

    print_agents({name: agents.card(name) for name in agents.names()})
