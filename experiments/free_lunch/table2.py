"""Table 2: how large the models are. Counts parameters; both scales are the same, and take seconds."""

from experiments.claims import Table, judge
from experiments.free_lunch.paper import SIZES, model_of
from experiments.scale import Experiment, launch


def count() -> dict[str, int]:
    """Parameters of every network with the paper's 84x84x4 frames and 4 actions; nothing is computed."""
    import jax
    import jax.numpy as jnp

    from rljax_viz import networks

    key, obs = jax.eval_shape(lambda: jax.random.key(0)), jax.ShapeDtypeStruct((84, 84, 4), jnp.uint8)
    shapes = {name: jax.eval_shape(networks.make(name, 4).init, key, obs) for name in SIZES}
    return {name: sum(leaf.size for leaf in jax.tree.leaves(shape)) for name, shape in shapes.items()}


def main(at: Experiment) -> None:
    counts = at.part("counts", count)
    rows = [
        (model_of(name).label, paper, counts[name], f"{counts[name] / counts['nature']:.1%}", counts[name] == paper)
        for name, paper in SIZES.items()
    ]
    same = sum(row[-1] for row in rows)
    pooled, plain = counts["sparse-fls-sum-pool"], counts["sparse-fls"]
    claims = [
        judge("Table 2", "the sizes of eight models", same == len(rows), f"{same} of {len(rows)} counts are equal"),
        judge("4.2", "Sparse FLS has about 10 % more parameters than the baseline",
              0.05 < plain / counts["nature"] - 1 < 0.15, f"{plain / counts['nature'] - 1:.1%} more"),
        judge("4.2", "sum-pooling reduces the parameters by nearly a factor of 7", 6.5 < plain / pooled < 7.5,
              f"factor {plain / pooled:.2f} ({plain:,} to {pooled:,})"),
    ]  # fmt: skip
    table = Table("Parameters, 84x84x4 and 4 actions", ("model", "paper", "here", "of Nature CNN", "equal"), rows)
    at.report("Free-lunch saliency, Table 2: model sizes", claims, [table])


if __name__ == "__main__":
    launch(main, __file__)
