import numpy as np
import pytest

from rljax_viz.report import MapSeries, Recording
from rljax_viz.report.recording import check_maps

from .play import T, frames, maps, recording, stacks


def test_newest_is_the_last_frame_of_the_stack():
    assert np.array_equal(recording().newest[..., 0], frames())


def test_a_colour_stack_has_colour_frames():
    obs = np.zeros((T, 8, 8, 12), np.uint8)
    obs[..., 9:] = 7
    assert recording(obs=obs).newest.shape == (T, 8, 8, 3)
    assert recording(obs=obs).newest.min() == 7


def test_actions_are_counted_from_the_heads_or_from_what_was_taken():
    assert recording().num_actions == 3
    assert recording(logits=None, q=np.zeros((T, 5))).num_actions == 5
    assert recording(logits=None).num_actions == 3
    assert repr(recording()) == "Recording(12 steps, 2 episodes, obs (16, 16, 4))"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"obs": stacks().astype(np.float32)}, r"obs is float32; expected uint8 frames"),
        ({"obs": stacks()[0]}, r"expected \[T H W C\]. For one step: `obs\[None\]`"),
        ({"obs": stacks()[:0]}, "holds no step"),
        ({"stack": 3}, "stack=3 does not divide the 4 channels"),
        ({"stack": 0}, "stack=0 does not divide"),
        ({"rgb": np.zeros((T, 8, 8, 4), np.uint8)}, r"expected \[12 h w 3\]"),
        ({"rgb": np.zeros((T - 1, 8, 8, 3), np.uint8)}, r"expected \[12 h w 3\]"),
        ({"action": np.zeros(T)}, r"action is float64; expected int: `action.astype\(int\)`"),
        ({"action": np.full(T, -1)}, "actions count from 0"),
        ({"terminated": np.zeros(T)}, "terminated is float64; expected bool"),
        ({"reward": np.zeros(T + 1)}, r"reward has shape \(13,\); expected \(12,\)"),
        ({"reward": None}, "reward is None"),
        ({"value": np.full(T, np.nan)}, r"value is not finite at row 0 \(12 rows"),
        ({"logits": np.zeros((T + 1, 3))}, r"expected \[12 A\]"),
        ({"logits": np.full((T, 3), -np.inf)}, "logits is not finite at row 0"),
        ({"q": np.zeros((T, 3))}, "logits and q were both given"),
        ({"episode": np.arange(T) % 2}, "one is torn apart"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        recording(**changes)


def test_optional_fields_may_be_missing():
    small = Recording(
        obs=stacks(), action=np.zeros(T, int), reward=np.zeros(T), terminated=np.zeros(T, bool),
        truncated=np.zeros(T, bool), episode=np.zeros(T, int),
    )  # fmt: skip
    assert small.stack == 1 and small.newest.shape == (T, 16, 16, 4)


def test_maps_are_refused_where_they_do_not_belong():
    with pytest.raises(ValueError, match=r"expected \[T h w\].*newest frame of the stack"):
        MapSeries("gradient", "value", np.zeros((T, 4, 4, 4)))
    with pytest.raises(ValueError, match=r"One map is `values\[None\]`"):
        MapSeries("gradient", "value", np.zeros((4, 4)))
    with pytest.raises(ValueError, match="maps of gradient-value are 9, the recording has 12 steps"):
        check_maps(recording(), maps(9))
    with pytest.raises(ValueError, match="grad_cam-value-conv1 came twice"):
        check_maps(recording(), [*maps(), maps()[1]])
    check_maps(recording(), maps())
