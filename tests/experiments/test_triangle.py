"""A triangle of Space Invaders and its mirror image, set by the memory, and what is told of them."""

import numpy as np

from experiments.idqn import triangle
from rljax_viz import envs

PRESET = envs.make_preset("dqn", "SpaceInvaders-v5").for_evaluation()
FIRE, AT = 1, 40


def test_the_invaders_are_those_that_were_set_and_can_be_shot():
    shapes = triangle.compare(PRESET, lambda obs: FIRE, 3, AT, 120)
    for game in shapes.values():
        left = triangle.invaders(game.ram)
        assert left[AT - 1] == 36 and left[AT] == 21 and game.ram[AT, triangle.LEFT_OVER] == 21
        assert 21 - left[-1] == 21 - game.ram[-1, triangle.LEFT_OVER]  # the game counts as we do
    assert any(triangle.invaders(game.ram)[-1] < 21 for game in shapes.values())
    colour = np.array([134, 134, 29])
    (first, second) = ((game.rgb[AT + 3][25:150] == colour).all(-1).sum(0) for game in shapes.values())
    right = [np.average(np.arange(160), weights=columns) for columns in (first, second)]
    assert right[0] - right[1] > 20  # the triangle lies to the right, its mirror image to the left
    told = triangle.measured([shapes], AT)
    assert all(0 <= share < 1 for one in told.values() for share in one["shot"])
    still = [one["place"][0] for one in told.values()]
    assert still[0] == still[1]  # a gun that only fires stands still


def test_the_gun_is_followed_and_a_game_that_is_over_has_no_triangle():
    seen = []

    def looks(obs):  # goes to the right if the lower left is free of invaders
        seen.append(obs)
        return 4 if len(seen) > 100 + AT else FIRE

    shapes = triangle.compare(PRESET, looks, 3, AT, 100)
    places = triangle.measured([shapes], AT)
    assert places["mirrored"]["place"][0] > places["triangle"]["place"][0] + 20  # played second
    assert triangle.compare(PRESET, lambda obs: 0, 3, 1_500, 10) == {}


def test_claims_are_judged_pair_by_pair():
    told = {"triangle": {"shot": [0.9, 0.8, 0.85], "place": [40.0, 41, 39]},
            "mirrored": {"shot": [0.3, 0.2, 0.35], "place": [42.0, 40, 41]}}  # fmt: skip
    assert [one.verdict for one in triangle.claims("i-DQN", told)] == ["reproduced"] * 2
    told["mirrored"] = {"shot": [0.9, 0.7, 0.9], "place": [80.0, 90, 99]}
    assert [one.verdict for one in triangle.claims("i-DQN", told)] == ["not reproduced"] * 2
    none = {shape: {"shot": [], "place": []} for shape in triangle.SHAPES}
    assert [one.verdict for one in triangle.claims("i-DQN", none)] == ["beyond this scale"]
