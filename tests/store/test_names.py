"""File names of maps: safe, distinct, and back again."""

import re

import pytest

from rljax_viz.store import map_name, split_map_name

CASES = {
    ("grad_cam", "value", "conv1"): "grad_cam-value-conv1.zarr",
    ("gradient", "logit:chosen", None): "gradient-logit=chosen.zarr",
    ("sarfa", "difference:2,3", None): "sarfa-difference=2,3.zarr",
    ("gradient", "a-b", None): "gradient-a%2Db.zarr",
    ("gradient", "a", "b"): "gradient-a-b.zarr",
    ("m", "a=b", "mlp/linear~1"): "m-a%3Db-mlp%2Flinear%7E1.zarr",
    ("m", "ü 1", "../x"): "m-%C3%BC%201-..%2Fx.zarr",
}


@pytest.mark.parametrize(("parts", "name"), CASES.items())
def test_there_and_back(parts, name):
    assert map_name(*parts) == name
    assert split_map_name(name) == parts
    assert re.fullmatch(r"[A-Za-z0-9_.,=%-]+", name)


def test_past_frames_have_a_name_of_their_own():
    assert map_name("gradient", "value", None, 9) == "gradient-value+past9.zarr"
    assert map_name("m", "a+past3", "conv1", 12) == "m-a%2Bpast3-conv1+past12.zarr"
    assert split_map_name("m-a%2Bpast3-conv1+past12.zarr") == ("m", "a+past3", "conv1")
    assert map_name("m", "a+past3") == "m-a%2Bpast3.zarr" and split_map_name("m-a%2Bpast3.zarr")[1] == "a+past3"


def test_refusals():
    with pytest.raises(ValueError, match="none of them empty"):
        map_name("gradient", "")
    for name in ("gradient.zarr", "a-b-c-d.zarr", "a-b"):
        with pytest.raises(ValueError, match="is not <method>-<score>"):
            split_map_name(name)
