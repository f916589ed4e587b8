import envpool
import pytest

from rljax_viz.envs.atari_actions import atari_action_names


def test_names():
    assert atari_action_names("Breakout", 4) == ("noop", "fire", "right", "left")
    assert atari_action_names("Pong", 6) == ("noop", "fire", "right", "left", "right-fire", "left-fire")
    assert atari_action_names("Freeway", 3) == ("noop", "up", "down")


def test_the_full_set_is_the_same_for_every_game():
    full = atari_action_names("Breakout", 18)
    assert full == atari_action_names("Seaquest", 18) == atari_action_names("NoSuchGame", 18)
    assert len(set(full)) == 18 and full[:6] == ("noop", "fire", "up", "right", "left", "down")
    assert full[-1] == "down-left-fire"


@pytest.mark.parametrize(("game", "count"), [("NoSuchGame", 4), ("Breakout", 5)])
def test_an_unknown_set_falls_back_to_numbers(game, count):
    assert atari_action_names(game, count) == tuple(f"action {i}" for i in range(count))


@pytest.mark.parametrize("game", ["Breakout", "Pong", "Skiing", "Qbert", "MsPacman", "Enduro", "JourneyEscape", "Alien"])
def test_as_many_names_as_envpool_has_actions(game):
    count = int(envpool.make_spec(f"{game}-v5").action_space.n)
    names = atari_action_names(game, count)
    assert len(names) == count and not any(name.startswith("action ") for name in names)
