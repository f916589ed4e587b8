"""A pellet of MsPacman laid back by its memory, and what is told of it."""

import numpy as np
import pytest

from experiments.idqn import pellet
from experiments.idqn.memorised import by_chance
from rljax_viz import envs

PRESET = envs.make_preset("dqn", "MsPacman-v5").for_evaluation()
LEFT, RIGHT = 3, 2  # of its nine actions


def test_a_pellet_is_a_bit_of_the_memory():
    played = envs.replay(PRESET, [LEFT] * 110, seed=3)
    found = pellet.eaten(played.ram, played.reward)
    assert len(found) == (played.reward == 10).sum() >= 5 and len({one[1:] for one in found}) == len(found)
    first = found[0]
    lies = pellet.lies(played.ram, first)
    assert lies[: first.step + 1].all() and not lies[first.step + 1 :].any()
    at = first.step + 8
    edits = {at: {first.address: int(played.ram[at, first.address]) | first.bit}}
    again = envs.replay(PRESET, [LEFT] * 110, edits, 3)
    assert pellet.lies(again.ram, first)[at:].all()
    changed = (again.rgb[at + 2].astype(int) != played.rgb[at + 2]).any(-1)
    assert 0 < changed.sum() < 40 and np.ptp(np.argwhere(changed), 0).max() < 12  # one pellet is drawn, and nothing else


def test_an_agent_that_turns_back_for_it_and_one_that_does_not():
    seen = []

    def blind(obs):
        return LEFT

    def looks(obs):  # turns back where the frame differs from that of the blind one's game
        at = len(seen)
        seen.append(obs)
        return RIGHT if at > 0 and (obs != known.obs[start + at]).any() else LEFT

    plain = pellet.compare(PRESET, blind, 3, 130, 1)
    (one,) = plain["games"]
    told = pellet.measured(plain["games"], by_chance)
    assert told == {"same": [1.0], "chance": [1.0], "fetched": [False]} and plain["length"] == 130
    known, start = one[2], one[1]
    edits = {start: {one[0].address: int(known.ram[start, one[0].address]) | one[0].bit}}
    turned = envs.replay(PRESET, known.action[:start].tolist(), edits, 3, looks, 130)
    told = pellet.measured([(one[0], start, known, turned)], by_chance)
    assert told["fetched"] == [True] and told["same"][0] < 0.2 and (turned.action[:start] == known.action[:start]).all()


def test_steps_that_nothing_plays_are_refused():
    with pytest.raises(ValueError, match="2 actions are given and 5 steps wanted"):
        envs.replay(PRESET, [0, 0], steps=5)
    with pytest.raises(ValueError, match="2 actions are given and 1 steps wanted"):
        envs.replay(PRESET, [0, 0], then=lambda obs: 0, steps=1)
