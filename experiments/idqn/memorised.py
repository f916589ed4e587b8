"""Figures 7 and 13: an object is laid beside a trajectory that the agent knows. Does it fetch it, or play on as before?

On MinAtar the paper's pellet becomes a brick of Breakout; on the real games it is MsPacman's own, laid back by its memory
(`pellet.py`, extra `atari-ram`), and Space Invaders goes on from a triangle (`triangle.py`). Nothing of these games is drawn
at random once they have begun: the same actions give the same game, so that whatever changes is the agent's doing.
"""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.claims import Claim, Table, judge
from experiments.idqn.agents import about, as_picture, legend
from experiments.pictures import write_pictures
from experiments.scale import Experiment, Tiny, launch
from experiments.training import trained

GAME = "Breakout-MinAtar"
BALL, BRICKS = 1, 3  # planes of its frames
STEPS = 200  # of a trajectory, at most
ALGORITHMS = {"i-DQN": "idqn", "double DQN": "double-dqn"}


def beside(ball: np.ndarray, bricks: np.ndarray) -> list[tuple[int, int]]:
    """Free cells next to a ball's way that it never touches: ball[T 10 10], bricks[10 10] bool -> (row, column) each.

    Only rows 4 to 7, between the wall of bricks and the paddle's; a brick there changes nothing in how the ball flies, unless
    the agent plays differently. A bounce looks one cell ahead, so cells diagonal to the way are left out as well.
    """
    way = ball.any(0)
    touched = way.copy()
    for rows in (-1, 1):
        for columns in (-1, 1):
            touched |= _shifted(way, rows, columns)
    near = _shifted(way, 0, -2) | _shifted(way, 0, 2) | _shifted(way, 0, -1) | _shifted(way, 0, 1)
    free = near & ~touched & ~bricks
    return [(int(r), int(c)) for r, c in np.argwhere(free) if 4 <= r <= 7]


def _shifted(cells: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """`cells` moved by that many rows and columns, nothing coming in at the borders."""
    padded = np.pad(cells, 2)
    return padded[2 - rows : 2 - rows + cells.shape[0], 2 - columns : 2 - columns + cells.shape[1]]


def begin_alike(env: Any, bricks: list[tuple[int, int] | None], seed: int) -> Any:
    """`(state, timestep)` of `env`: all games begin as the first, game k with `bricks[k]` laid into it (None: nothing)."""
    import jax
    import jax.numpy as jnp

    state, timestep = env.reset(jax.random.key(seed))
    alike = jax.tree.map(lambda x: jnp.broadcast_to(x[:1], x.shape), state.env_state)
    obs = jnp.broadcast_to(timestep.obs[:1], timestep.obs.shape)
    for game, cell in enumerate(bricks):
        if cell is not None:
            row, column = cell
            alike = alike.replace(brick_map=alike.brick_map.at[game, row, column].set(1))
            obs = obs.at[game, row, column, BRICKS].set(255)
    return state._replace(env_state=alike), timestep._replace(obs=obs)


def play(agent: Any, env: Any, carry: Any, steps: int) -> dict[str, np.ndarray]:
    """The best action at every step: obs[T B H W C], action[T B], q[T B A], alive[T B]: its first game still runs."""
    import jax

    def one(carry: Any, _: Any) -> Any:
        state, timestep, alive = carry
        q = jax.vmap(agent.f, (None, 0))(agent.params, timestep.obs).q
        action = q.argmax(-1).astype("int32")
        state, moved = env.step(state, action)
        row = {"obs": timestep.obs, "action": action, "q": q, "alive": alive}
        return (state, moved, alive & ~moved.info.episode_end), row

    alive = np.ones(env.num_envs, bool)
    rows = jax.jit(lambda c: jax.lax.scan(one, (*c, alive), length=steps)[1])(carry)
    return {name: np.asarray(value) for name, value in rows.items()}


def compare_atari(at: Experiment, label: str, tiny: bool) -> dict[str, Any]:
    """As `compare`, on MsPacman, for pellets that are laid back."""
    import jax

    from experiments.idqn import pellet
    from experiments.idqn.agents import train
    from rljax_viz.runs import load_agent

    agent = load_agent(train(at, pellet.GAME, ALGORITHMS[label], tiny=tiny))
    best = jax.jit(lambda obs: agent.f(agent.params, obs).q.argmax())
    found: dict[str, Any] = {"same": [], "chance": [], "fetched": [], "length": [], "picture": None}
    preset = agent.preset.for_evaluation()
    for seed in range(1 if tiny else 4):
        played = pellet.compare(preset, lambda obs: int(best(obs)), seed, 160 if tiny else 400, 2 if tiny else 6)
        found["length"].append(played["length"])
        for name, values in pellet.measured(played["games"], by_chance).items():
            found[name] += values
        if found["picture"] is None and played["games"]:
            path = at.folder / f"{ALGORITHMS[label]}.png"
            found["picture"] = pellet.draw(path, label, agent.action_names, played["games"][0])
    return found


def compare_triangles(at: Experiment, label: str, tiny: bool) -> dict[str, Any]:
    """What becomes of a triangle of Space Invaders and of its mirror image; one picture."""
    import jax

    from experiments.idqn import triangle
    from experiments.idqn.agents import train
    from rljax_viz.runs import load_agent

    agent, start = load_agent(train(at, triangle.GAME, ALGORITHMS[label], tiny=tiny)), 60
    best = jax.jit(lambda obs: agent.f(agent.params, obs).q.argmax())
    preset, choose = agent.preset.for_evaluation(), lambda obs: int(best(obs))
    tried = [triangle.compare(preset, choose, seed, start, 60 if tiny else 400) for seed in range(2 if tiny else 8)]
    games = [game for game in tried if game]
    picture = None
    if games:
        path = at.folder / f"triangle-{ALGORITHMS[label]}.png"
        picture = triangle.draw(path, label, agent.action_names, games[0], start)
    return {"told": triangle.measured(games, start), "picture": picture}


def compare(at: Experiment, label: str, tiny: bool) -> dict[str, Any]:
    """For each free cell beside the way, of both first states: as many steps alike, brick fetched or not; one picture."""
    from rljax_viz.runs import load_agent, make_config

    steps = 8_192 if tiny else 61_440
    setting = {"learn_start": 1_024} if tiny else {}
    run = at.folder.parent / "agents" / f"{GAME}-{ALGORITHMS[label]}-memorised"
    config = make_config(GAME, ALGORITHMS[label], seed=1, steps=steps, num_envs=16, checkpoint_every=8, **setting)
    agent = load_agent(trained(run, config, at.say))
    found: dict[str, Any] = {"same": [], "chance": [], "fetched": [], "length": [], "picture": None}
    begun: list[bytes] = []
    for seed in (0, 1, 2, 3):
        env = agent.make_env(1)
        known = play(agent, env, begin_alike(env, [None], seed), STEPS)
        length = int(known["alive"].sum())
        obs = known["obs"][:length, 0]
        if obs[0].tobytes() in begun:  # the ball began on the same side: the same game
            continue
        begun.append(obs[0].tobytes())
        cells = beside(obs[..., BALL] > 0, obs[0, ..., BRICKS] > 0)
        found["length"].append(length)
        if not cells:
            continue
        env = agent.make_env(len(cells))
        changed = play(agent, env, begin_alike(env, list(cells), seed), length)
        alike = (changed["action"] == known["action"][:length]) & changed["alive"]  # of the edited game, while it runs
        found["same"] += (alike.sum(0) / changed["alive"].sum(0)).tolist()
        found["chance"] += [by_chance(known["action"][:length, 0], row) for row in played(changed)]
        found["fetched"] += [
            bool((changed["obs"][:, k, r, c, BRICKS][changed["alive"][:, k]] == 0).any()) for k, (r, c) in enumerate(cells)
        ]
        if found["picture"] is None:
            found["picture"] = draw(
                at.folder / f"{ALGORITHMS[label]}.png", label, agent.action_names, known, changed, cells[0]
            )
    return found


def played(games: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The actions of each game, as long as it ran."""
    return [action[alive] for action, alive in zip(games["action"].T, games["alive"].T, strict=True)]


def by_chance(first: np.ndarray, second: np.ndarray) -> float:
    """How often two lists of actions would be alike if nothing but how often each occurs were the same."""
    often = [np.bincount(x, minlength=8) / len(x) for x in (first, second)]
    return float(often[0] @ often[1])


def draw(
    path: Path, label: str, names: tuple[str, ...], known: dict[str, Any], changed: dict[str, Any], cell: tuple[int, int]
) -> str:
    """Six moments of the known game above, and of the game with the first of the added bricks, in `cell`, below."""
    moments = np.linspace(0, changed["alive"][:, 0].sum() - 1, 6).astype(int)
    rows = {
        title: {f"step {t}: {names[played['action'][t, 0]]}": as_picture(played["obs"][t, 0], 4) for t in moments}
        for title, played in (("known game", known), ("a brick more", changed))
    }
    foot = (
        f"The brick was laid beside the ball's way, row {cell[0] + 1}, column {cell[1] + 1}. Above each frame: the step, and "
        "the action that the agent takes there."
    )
    return write_pictures(path, rows, f"{label}: a known game, and the same with a brick more", foot, legend(GAME))


def claims(found: dict[str, Any], thing: str = "brick", triangles: dict[str, Any] | None = None) -> list[Claim]:
    """Of i-DQN and of double DQN, which the paper shows to do the same (figure 13d)."""
    from experiments.idqn import triangle

    told = []
    for label, one in found.items():
        if not one["same"]:
            told.append(judge("Figs. 7, 13", f"{label} plays on as it knows", None, "no free cell beside its way"))
            continue
        same, chance, fetched, count = *(np.mean(one[k]) for k in ("same", "chance", "fetched")), len(one["same"])
        words = f"{same:.0%} of actions as before ({chance:.0%} by chance), games of {min(one['length'])} steps or more"
        told.append(judge("Figs. 7, 13", f"{label} plays on as it knows (8 of 10 actions)", bool(same > 0.8), words))
        words = f"{thing} fetched in {fetched:.0%} of {count} places"
        told.append(judge("Figs. 7, 13", f"{label} leaves the added object where it is", bool(fetched < 0.5), words))
    for label, one in (triangles or {}).items():
        told += triangle.claims(label, one["told"])
    if not triangles:
        told.append(judge("Figs. 7, 13", "fails on an inverted triangle of invaders", None, "takes --games atari"))
    return told


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    one, thing = (compare_atari, "pellet") if at.atari else (compare, "brick")
    found = {label: at.part(ALGORITHMS[label], lambda n=label: one(at, n, tiny)) for label in ALGORITHMS}
    triangles: dict[str, Any] = {}
    if at.atari:
        for label, algo in ALGORITHMS.items():
            triangles[label] = at.part(f"triangle-{algo}", lambda n=label: compare_triangles(at, n, tiny))
    rows = [(label, *(float(np.mean(one[k])) if one[k] else None for k in ("same", "chance", "fetched")), len(one["same"]),
             max(one["length"])) for label, one in found.items()]  # fmt: skip
    header = ("agent", "same actions", "by chance", f"{thing} fetched", "places tried", "steps of the longest known game")
    at.report("i-DQN, figures 7 and 13: an object beside a known trajectory", claims(found, thing, triangles),
              [Table(f"What is played with a {thing} more", header, rows)],
              [one["picture"] for one in (*found.values(), *triangles.values()) if one["picture"]],
              ["A short game says little: an agent that hardly moves plays on whatever is laid beside it. Once the game has "
               "become another one, later actions are alike by chance.", *about(at)])  # fmt: skip


if __name__ == "__main__":
    launch(main, __file__)
