import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.envs.env import check_action, enter, open_account


def test_account_of_two_games_counted_by_hand():
    account = open_account(2)
    script = [  # raw reward, valid, end; totals, all of [2]
        ((1.0, -2.0), (True, True), (False, False), (1.0, -2.0), (1, 1)),
        ((3.0, 5.0), (True, True), (True, False), (4.0, 3.0), (2, 2)),
        ((9.0, 1.0), (False, True), (False, False), (0.0, 4.0), (0, 3)),  # the first game only resets
        ((2.0, 0.0), (True, True), (False, True), (2.0, 4.0), (1, 4)),
        ((0.0, 7.0), (True, True), (False, False), (2.0, 7.0), (2, 1)),
    ]
    for reward, valid, end, total, length in script:
        account, totals = enter(account, jnp.array(reward), jnp.array(valid), jnp.array(end))
        np.testing.assert_array_equal(totals.episode_return, np.array(total, np.float32))
        np.testing.assert_array_equal(totals.episode_length, length)


def test_actions_become_int32():
    for action in (np.array([1, 2], np.int64), jnp.array([1, 2], jnp.uint8), [1, 2]):
        assert check_action(action, 2).dtype == jnp.int32  # type: ignore[arg-type]


@pytest.mark.parametrize("action", [np.zeros(3, int), np.zeros((2, 1), int), np.zeros((), int), np.zeros(2, np.float32)])
def test_other_shapes_and_types_are_refused(action):
    with pytest.raises(ValueError, match=r"expected one integer for each of the 2 environments.*vmap\(env.step\)"):
        check_action(action, 2)
