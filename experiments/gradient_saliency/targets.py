"""What is differentiated: the sum of q, a policy behind its softmax, one action or another (sections 3 and 4.2)."""

from typing import Any

import numpy as np

from experiments.claims import Claim, Table, above, decimals, judge, most, shown
from experiments.gradient_saliency.agents import agent_of, available, games_of, recorded
from experiments.gradient_saliency.entrance import write_index
from experiments.scale import Experiment, Tiny, launch


def sum_of_q(f: Any, params: Any, obs: np.ndarray, *rest: Any) -> dict[str, float]:
    """Largest difference of grad(sum_a q) from n grad(value), by the latter's largest; and the mean's size. FACTS R2."""
    import jax
    import jax.numpy as jnp

    def both(x, *rest):
        total = jax.grad(lambda o: f(params, o, *rest).q.sum())(x)
        value = jax.grad(lambda o: f(params, o, *rest).value)(x)
        return total, f(params, x, *rest).q.shape[0] * value

    total, value = jax.jit(jax.vmap(both))(jnp.asarray(obs, jnp.float32), *rest)
    return {"difference": float(jnp.abs(total - value).max() / jnp.abs(value).max()), "size": float(jnp.abs(value).max())}


def behind_softmax(f: Any, params: Any, obs: np.ndarray, action: np.ndarray, *rest: Any) -> dict[str, float]:
    """Mean strength of the gradient of the taken action's probability, by that of its logit. FACTS R6."""
    import jax
    import jax.numpy as jnp

    def both(x, a, *rest):
        probability = jax.grad(lambda o: jax.nn.softmax(f(params, o, *rest).logits)[a])(x)
        logit = jax.grad(lambda o: f(params, o, *rest).logits[a])(x)
        return jnp.abs(probability).mean(), jnp.abs(logit).mean(), jax.nn.softmax(f(params, x, *rest).logits)[a]

    found = jax.jit(jax.vmap(both))(jnp.asarray(obs, jnp.float32), jnp.asarray(action), *rest)
    weak, strong, chance = map(np.asarray, found)
    ratio = weak / strong
    sure = ratio[chance > 0.95]
    return {"ratio": float(np.median(ratio)), "least": float(ratio.min()),
            "sure": float(np.median(sure)) if len(sure) else float("nan"), "sure frames": len(sure)}  # fmt: skip


def action_discriminative(agent: Any, seen: Any) -> dict[str, float]:
    """Mean correlation of a method's maps for the best and for the worst action, over frames where both vary."""
    from experiments.gradient_saliency.grid import Cell, convolutions, maps, streams

    head = streams(agent)[0].partition(":")[0]
    layer = convolutions(agent)[0]
    actions = range(len(agent.action_names))
    found = {}
    for method in ("grad_cam", "g1_grad_cam", "guided_backprop"):
        cells = [Cell(method, f"{head}:{a}", None if method == "guided_backprop" else layer) for a in actions]
        some = list(maps(agent, cells, seen).values())
        pairs = [(a[i].ravel(), b[i].ravel()) for k, a in enumerate(some) for b in some[:k] for i in range(len(seen.obs))]
        alike = [np.corrcoef(a, b)[0, 1] for a, b in pairs if np.ptp(a) > 0 and np.ptp(b) > 0]
        found[method] = float(np.mean(alike)) if alike else float("nan")
    return found


def compare(at: Experiment, name: str, game: str, tiny: bool) -> dict[str, Any]:
    from rljax_viz.store import Episodes

    agent = agent_of(at, name, game, tiny=tiny)
    episodes = Episodes(recorded(at, name, game, 48 if tiny else 256, tiny) / "episodes.zarr")
    import jax

    from experiments.gradient_saliency.grid import seen_in
    from rljax_viz.networks import MIXED
    from rljax_viz.runs.past import remembered

    seen = seen_in(episodes, 64)
    memory, _ = remembered(agent, seen.obs, seen.begins)
    rest = () if memory is None else (memory,)
    out = jax.eval_shape(agent.f, agent.params, seen.obs[0])
    found: dict[str, Any] = {"alike": action_discriminative(agent, seen_in(episodes, 32))}
    if out.advantage is not None and agent.network not in MIXED:
        found["sum of q"] = sum_of_q(agent.f, agent.params, seen.obs, *rest)
    if out.logits is not None:
        found["softmax"] = behind_softmax(agent.f, agent.params, seen.obs, seen.action, *rest)
    return found


def untrained_dueling() -> dict[str, float]:
    """The sum of q of the dueling network with random weights: the identity asks for no training."""
    import jax

    from rljax_viz import networks

    net = networks.make("nature-dueling", 18)
    obs = np.random.default_rng(0).integers(0, 256, (4, 84, 84, 4), dtype=np.uint8)
    return sum_of_q(net.apply, net.init(jax.random.key(0), obs[0]), obs)


def claims(found: dict[str, dict[str, Any]], dueling: dict[str, float]) -> list[Claim]:
    sums = {"nature-dueling, random weights": dueling} | {k: v["sum of q"] for k, v in found.items() if "sum of q" in v}
    weak = {k: v["softmax"] for k, v in found.items() if "softmax" in v}
    largest = max(v["difference"] for v in sums.values())
    words = "; ".join(f"{k}: median ratio {v['ratio']:.3f}, least {v['least']:.1e}, on {v['sure frames']} sure frames "
                      f"{shown(v['sure'])}" for k, v in weak.items())  # fmt: skip
    def told(method: str) -> str:
        some = (f"{k} {decimals(v['alike'][method])}" for k, v in found.items())
        return f"correlation of maps for different actions: {', '.join(some)}"

    def same(method: str) -> bool | None:
        return most(above(v["alike"][method], 0.5) for v in found.values())

    return [
        judge("their code (FACTS R2)", "the gradient of the sum of q is n times that of the value: no advantage is in it",
              largest < 1e-3, "; ".join(f"{k}: off by {v['difference']:.1e}" for k, v in sums.items())),
        judge("Fig. 61, 63 (R6)", "behind its softmax the actor's gradient vanishes; they multiplied it by 250",
              all(v["sure"] < 1 / 20 or v["least"] < 1 / 50 for v in weak.values()) if weak else None,
              f"gradient of probability by gradient of logit: {words}"),
        judge("4.2", "Grad-CAM shows no relation between a state and the action taken", same("grad_cam"), told("grad_cam")),
        judge("4.2", "G1 Grad-CAM shows no relation between a state and the action taken", same("g1_grad_cam"),
              told("g1_grad_cam")),
    ]  # fmt: skip


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    dueling = at.part("untrained-dueling", untrained_dueling)
    pairs = [(name, game) for name in available(at) for game in games_of(at, name)]
    found = {f"{name} on {game}": at.part(f"{game}-{name}", lambda n=name, g=game: compare(at, n, g, tiny))
             for name, game in pairs}  # fmt: skip
    rows = [(k, *v["alike"].values()) for k, v in found.items()]
    table = Table("Correlation of maps for different actions", ("agent", "grad_cam", "g1_grad_cam", "guided_backprop"), rows)
    at.report("Gradient saliency: what is differentiated", claims(found, dueling), [table])
    write_index(at)


if __name__ == "__main__":
    launch(main, __file__)
