import numpy as np
import pytest

from rljax_viz.explain import per_frame, scale_global, scale_per_episode, scale_per_frame, sum_abs

MAPS = np.array([[[1.0, -4.0]], [[0.0, 0.0]], [[8.0, 2.0]], [[-1.0, 1.0]]], np.float32)


def test_per_frame_episode_and_all():
    kept = MAPS.copy()
    np.testing.assert_allclose(scale_per_frame(MAPS), [[[0.25, -1]], [[0, 0]], [[1, 0.25]], [[-1, 1]]])
    by = scale_per_episode(MAPS, np.array([7, 7, 3, 3]))
    np.testing.assert_allclose(by, [[[0.25, -1]], [[0, 0]], [[1, 0.25]], [[-0.125, 0.125]]])
    np.testing.assert_allclose(scale_global(MAPS), MAPS / 8)
    np.testing.assert_array_equal(MAPS, kept)


def test_zeros_stay():
    for scaled in (scale_per_frame(0 * MAPS), scale_global(0 * MAPS), scale_per_episode(0 * MAPS, np.zeros(4))):
        np.testing.assert_array_equal(scaled, 0 * MAPS)


def test_episode_labels():
    with pytest.raises(ValueError, match="one episode label a map"):
        scale_per_episode(MAPS, np.zeros(3))


def test_the_stack_frame_by_frame_and_summed():
    map = np.arange(24, dtype=np.float32).reshape(2, 2, 6) - 10
    np.testing.assert_array_equal(per_frame(map, 3)[1], map[..., 3:].sum(-1))
    np.testing.assert_array_equal(per_frame(map)[2], map[..., 2])
    np.testing.assert_array_equal(sum_abs(map), np.abs(map).sum(-1))
    with pytest.raises(ValueError, match="does not divide"):
        per_frame(map, 4)
    with pytest.raises(ValueError, match="one map"):
        sum_abs(map[0])
