"""No algorithm begins with a setting that means nothing."""

import dataclasses

import pytest

from rljax_viz.agents import ALGORITHMS, DQN, IDQN, PPO

#: what no field of the type may be
WRONG = {bool: ("yes", None), int: (-1, 2.5, "many"), float: (-1.0, float("nan"), "much"), str: ("nonsense",)}
FIELDS = {
    (type(entry.config), field.name): (entry.config, type(getattr(entry.config, field.name) or 0.0))
    for entry in ALGORITHMS.values() for field in dataclasses.fields(entry.config)
}  # fmt: skip


@pytest.mark.parametrize(("algorithm", "name"), FIELDS, ids=lambda x: getattr(x, "__name__", x))
def test_every_field_is_looked_at(algorithm, name):
    config = FIELDS[algorithm, name][0]
    for wrong in WRONG[type(getattr(algorithm(), name))]:
        with pytest.raises(ValueError, match=f"{name} is .*, expected "):
            dataclasses.replace(config, **{name: wrong})


def test_the_borders_are_allowed():
    PPO(clip=None, entropy_coef=0, discount=1, steps=1)
    DQN(epsilon_start=0.0, epsilon_fraction=1.0, learn_start=0)
    IDQN(smallest_rate=0.0, halve_every=1)
