"""What holds for every network: values against numpy, tags, transforms, options, refusals."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks, transforms
from rljax_viz.networks.idqn import Decoder
from tests.networks import oracles

NATURES = ("nature", "nature-q", "nature-dueling")
ATTENDING = ("daqn", "rs", "rs-no-padding", *oracles.FLS)
MINATAR_Q = ("minatar-q", "minatar-dueling")
FLOAT32 = ("advantage_raw", "embedding", "weights")  # whatever the layers compute in
KEYED = ("idqn", "minatar-idqn")
TWINS = ("minatar-daqn", "minatar-rs", "minatar-sparse", *oracles.TWINS)
DENSE_TWIN = "minatar-dense-fls-no-relu-sum-pool"
SMALL = {"minatar": (10, 10, 4), "coinrun": (16, 16, 3), "idqn": (36, 44, 3)}
SMALL |= dict.fromkeys((*MINATAR_Q, "minatar-idqn", *TWINS), (10, 10, 4))
SMALL |= {**dict.fromkeys(NATURES, (36, 40, 3)), **dict.fromkeys(ATTENDING, (52, 60, 3))}
FULL = {**dict.fromkeys((*NATURES, *ATTENDING), (84, 84, 4)), "minatar": (10, 10, 4), "coinrun": (64, 64, 3)}
FULL |= dict.fromkeys((*MINATAR_Q, "minatar-idqn", *TWINS), (10, 10, 4)) | {"idqn": (84, 84, 4)}
TWIN, LOOK = (9 * 4 * 16 + 16) + (4 * 16 * 16 + 16), (9 * 16 * 16 + 16) + (9 * 16 + 1)
COUNTS = {
    ("nature", 4): 1_686_693,
    ("nature", 6): 1_686_693 + 2 * 513,
    ("nature-q", 4): 1_686_693 - 513,
    ("nature-dueling", 4): 77_984 + 2 * 1_606_144 + 513 + 4 * 513,
    ("daqn", 4): 130_726,  # these eight are Table 2 of Nikulin et al. 2019
    ("rs", 4): 1_720_999,
    ("rs-no-padding", 4): 1_720_999,
    ("sparse-fls", 4): 1_836_710,
    ("sparse-fls-norm", 4): 1_836_710,
    ("sparse-fls-softplus2", 4): 1_836_710,
    ("sparse-fls-no-relu", 4): 1_836_710,
    ("sparse-fls-sum-pool", 4): 263_846,
    ("sparse-fls-no-relu-sum-pool", 4): 263_846,
    ("dense-fls-sum-pool", 4): 280_358,
    ("dense-fls-no-relu-sum-pool", 4): 280_358,
    ("sparse-fls-conv1", 4): 1_762_982,
    ("sparse-fls-each-conv", 4): 2_063_016,
    ("sparse-fls-1x1", 4): 1_686_693 + (64 * 256 + 256) + 257,
    ("sparse-fls", 6): 1_836_710 + 2 * 513,
    ("minatar", 6): (9 * 4 * 16 + 16) + (1024 * 128 + 128) + 7 * 129,
    ("minatar-q", 6): (9 * 4 * 16 + 16) + (1024 * 128 + 128) + 6 * 129,
    ("minatar-dueling", 6): (9 * 4 * 16 + 16) + 2 * (1024 * 128 + 128) + 7 * 129,
    ("idqn", 4): 1_785_412,
    ("idqn", 6): 1_795_652,
    ("idqn", 9): 1_811_012,
    ("idqn", 18): 1_857_092,
    ("minatar-sparse", 3): TWIN + 256 * 128 + 128 + 4 * 129,
    ("minatar-daqn", 3): TWIN + (16 * 32 + 32) + 33 + 16 * 128 + 128 + 4 * 129,
    ("minatar-rs", 3): TWIN + (16 * 64 + 64) + 130 + 256 * 128 + 128 + 4 * 129,
    ("minatar-fls", 3): TWIN + LOOK + 256 * 128 + 128 + 4 * 129,
    ("minatar-fls-each-conv", 3): TWIN + 2 * LOOK + 256 * 128 + 128 + 4 * 129,
    ("minatar-dense-fls-sum-pool", 3): (296 + 584) + (9 * 8 * 8 + 8) + (9 * 8 + 1) + 8 * 128 + 128 + 4 * 129,
    ("coinrun", 9): 360_138,
    ("coinrun", 15): 363_216,
}
NATURE_CONVS = {"conv1": (20, 20, 32), "conv2": (9, 9, 64), "conv3": (7, 7, 64)}
TWIN_CONVS = {"conv1": (8, 8, 16), "conv2": (4, 4, 16)}
DENSE_TWIN_TAGS = {"conv1": (10, 10, 8), "conv2": (10, 10, 8), "attention": (10, 10), "fc": (128,)}
DENSE_TAGS = {"conv1": (84, 84, 32), "conv2": (84, 84, 64), "conv3": (84, 84, 64), "attention": (84, 84), "fc": (512,)}
TAGS = {
    "nature": NATURE_CONVS | {"fc": (512,)},
    "nature-q": NATURE_CONVS | {"fc": (512,)},
    "nature-dueling": NATURE_CONVS | {"fc_value": (512,), "fc_advantage": (512,), "advantage_raw": (5,)},
    **{name: NATURE_CONVS | {"attention": (7, 7), "fc": (512,)} for name in ATTENDING},
    "sparse-fls-conv1": NATURE_CONVS | {"attention": (20, 20), "fc": (512,)},
    "sparse-fls-each-conv": NATURE_CONVS | {"attention1": (20, 20), "attention2": (9, 9), "attention3": (7, 7), "fc": (512,)},
    "dense-fls-sum-pool": DENSE_TAGS,
    "dense-fls-no-relu-sum-pool": DENSE_TAGS,
    "minatar": {"conv1": (8, 8, 16), "fc": (128,)},
    "idqn": NATURE_CONVS | {"embedding": (256,), "weights": (5, 20)},
    "minatar-idqn": {"conv1": (8, 8, 16), "embedding": (64,), "weights": (5, 20)},
    "minatar-q": {"conv1": (8, 8, 16), "fc": (128,)},
    "minatar-dueling": {"conv1": (8, 8, 16), "fc_value": (128,), "fc_advantage": (128,), "advantage_raw": (5,)},
    **{name: TWIN_CONVS | {"attention": (4, 4), "fc": (128,)} for name in TWINS},
    "minatar-sparse": TWIN_CONVS | {"fc": (128,)},
    "minatar-fls-conv1": TWIN_CONVS | {"attention": (8, 8), "fc": (128,)},
    "minatar-fls-each-conv": TWIN_CONVS | {"attention1": (8, 8), "attention2": (4, 4), "fc": (128,)},
    "minatar-dense-fls-sum-pool": DENSE_TWIN_TAGS,
    DENSE_TWIN: DENSE_TWIN_TAGS,
    "coinrun": {
        "1a": (64, 64, 16),
        "2a": (32, 32, 32),
        "2b": (32, 32, 32),
        "3a": (16, 16, 32),
        "4a": (8, 8, 32),
        "fc1": (256,),
        "fc2": (512,),
    },
}


def frames(shape, n=None, seed=0):
    size = shape if n is None else (n, *shape)
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def made(name, shape, num_actions=5, **options):
    """A network with random weights and biases, so that no term of it is zero (and no QR is waited for)."""
    net = networks.make(name, num_actions, **options)
    params = jax.eval_shape(net.init, jax.random.key(1), jax.ShapeDtypeStruct(shape, jnp.uint8))
    rng = np.random.default_rng(2)

    def draw(leaf):
        scale = 0.1 if len(leaf.shape) == 1 else np.sqrt(2 / np.prod(leaf.shape[:-1]))
        return jnp.asarray(rng.normal(0, scale, leaf.shape), jnp.float32)

    params = jax.tree.map(draw, params)
    if "constants" in params:  # of i-DQN, where the oracle has a mean of 0
        values = jnp.linspace(-25.0, 25.0, 20)
        params = {**params, "constants": {"mean": jnp.zeros(shape), "values": values}}
    return net, params


@pytest.fixture(scope="module", params=[name for name in networks.NAMES if name not in (*TWINS, *oracles.REMEMBERING)])
def case(request):
    net, params = made(request.param, SMALL[request.param])
    return request.param, net, params


def decompositions(f, *args):
    """Whether each call of LAPACK on a CPU is batched.

    A batched one waits, in a thread of XLA, for other threads of XLA: two at once never return on a machine of two cores.
    """
    text = jax.jit(f).trace(*args).lower(lowering_platforms=("cpu",)).as_text()
    calls = [line for line in text.splitlines() if "@lapack_" in line]
    return [bool(re.search(r"tensor<\d+x\d+x\d+xf", line)) for line in calls]


def test_names():
    assert networks.NAMES == (*NATURES, "minatar", *MINATAR_Q, *oracles.REMEMBERING, *KEYED, "coinrun", *ATTENDING, *TWINS)


@pytest.mark.parametrize(("name", "num_actions"), COUNTS)
def test_parameter_count(name, num_actions):
    net = networks.make(name, num_actions)
    params = jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct(FULL[name], jnp.uint8))
    assert sum(leaf.size for leaf in jax.tree.leaves(params["params"])) == COUNTS[name, num_actions]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", TAGS)
def test_tags_and_shapes(name):
    net = networks.make(name, 5)
    obs = jax.ShapeDtypeStruct(FULL[name], jnp.uint8)
    params = jax.eval_shape(net.init, jax.random.key(0), obs)
    found = transforms.tags(net.apply)(params, obs)
    assert {key: tuple(value.shape) for key, value in found.items()} == TAGS[name]


def test_tags_stand_behind_the_relu(case):
    name, net, params = case
    hidden = transforms.activations(net.apply)(params, frames(SMALL[name]))[1]
    hidden.pop("advantage_raw", None)
    hidden = {tag: value for tag, value in hidden.items() if not tag.startswith("attention")}
    hidden = {tag: value for tag, value in hidden.items() if tag not in ("embedding", "weights")}
    if "no-relu" in name:
        assert hidden.pop("conv3").min() < 0
    assert all(value.min() == 0 and value.max() > 0 for value in hidden.values())


def test_values_are_those_of_numpy(case):
    compare_with_numpy(*case)


@pytest.mark.parametrize("name", ["minatar-daqn", "minatar-rs", "minatar-sparse", "minatar-fls-each-conv", DENSE_TWIN])
def test_values_of_the_twins_are_those_of_numpy(name):  # the same classes as those they are twins of: no more is asked
    compare_with_numpy(name, *made(name, SMALL[name]))


def compare_with_numpy(name, net, params):
    obs = frames(SMALL[name])
    out, oracle = net.apply(params, obs), oracles.FORWARD[name](params["params"], obs)
    assert {field for field, value in out._asdict().items() if value is not None} == oracle.keys()
    for field, value in oracle.items():
        assert getattr(out, field).shape == np.shape(value) and getattr(out, field).dtype == jnp.float32
        np.testing.assert_allclose(getattr(out, field), value, rtol=1e-4, atol=1e-5, err_msg=field)


def test_uint8_and_float32_frames_are_equal(case):
    name, net, params = case
    obs = frames(SMALL[name])
    jax.tree.map(np.testing.assert_array_equal, net.apply(params, obs), net.apply(params, obs.astype(np.float32)))


def test_vmap_is_a_loop(case):
    name, net, params = case
    obs = frames(SMALL[name], 3)
    batched = jax.jit(jax.vmap(net.apply, (None, 0)))(params, obs)
    for i in range(3):
        jax.tree.map(
            lambda many, one, i=i: np.testing.assert_allclose(many[i], one, rtol=1e-5, atol=1e-5),
            batched,
            net.apply(params, obs[i]),
        )


def test_fast_convs_agree(case):
    name, net, params = case
    obs = frames(SMALL[name]).astype(np.float32)

    def values_and_slope(f):
        slope = jax.grad(lambda obs: sum(x.sum() for x in jax.tree.leaves(f(params, obs))))
        return jax.jit(lambda obs: (f(params, obs), slope(obs)))(obs)

    out, slope = values_and_slope(net.apply)
    fast_out, fast_slope = values_and_slope(transforms.fast_convs(net.apply))
    jax.tree.map(lambda fast, plain: np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-5), fast_out, out)
    if name.startswith("dense"):
        # of its million units one or two lie on the kink of their ReLU, and move the pixels around them, a little
        off = np.abs(fast_slope - slope) / np.abs(slope).max()
        assert (off < 5e-5).mean() > 0.95 and off.max() < 5e-3
    else:
        np.testing.assert_allclose(fast_slope, slope, atol=5e-5 * np.abs(slope).max())  # seven layers of rounding


def test_bfloat16_is_near_and_answers_in_float32(case):
    name, net, params = case
    obs = frames(SMALL[name])
    low = networks.make(name, 5, dtype="bfloat16")
    hidden = transforms.activations(low.apply)(params, obs)[1]
    in_float32 = [tag for tag in hidden if tag in FLOAT32 or tag.startswith("attention")]
    assert {hidden.pop(tag).dtype for tag in in_float32} <= {jnp.dtype("float32")}
    assert {value.dtype for value in hidden.values()} == {jnp.dtype("bfloat16")}

    def near(a, b):
        assert a.dtype == jnp.float32
        assert 0 < np.abs(a - b).max() < 0.05 * max(1, np.abs(b).max())

    jax.tree.map(near, low.apply(params, obs), net.apply(params, obs))


DRAWN = ("nature", "nature-q", "nature-dueling", "minatar", "coinrun", "daqn", "rs", "sparse-fls-each-conv")


@pytest.mark.parametrize("name", DRAWN)  # the others are made of the same layers
def test_baselines_initialisation(name):
    params = networks.make(name, 5).init(jax.random.key(3), frames(SMALL[name]))["params"]
    gains = {"logits": 0.01, "value": 1.0, "advantage": 1.0, "q": 1.0}
    for layer, weights in params.items():
        assert not weights["bias"].any()
        matrix = np.asarray(weights["kernel"], np.float64).reshape(-1, weights["kernel"].shape[-1])
        if matrix.shape[0] < matrix.shape[1]:
            matrix = matrix.T
        gain = gains.get(layer, 2**0.5)
        np.testing.assert_allclose(matrix.T @ matrix, gain**2 * np.eye(matrix.shape[1]), atol=1e-5 * gain**2)


@pytest.mark.parametrize("compiled", [False, True])
def test_dueling_streams_add_up(compiled):
    net, params = made("nature-dueling", SMALL["nature-dueling"])
    f = jax.vmap(net.apply, (None, 0))
    out = (jax.jit(f) if compiled else f)(params, frames(SMALL["nature-dueling"], 4))
    np.testing.assert_array_equal(out.q, out.value[:, None] + out.advantage)
    np.testing.assert_allclose(out.advantage.mean(-1), np.zeros(4), atol=1e-6)
    assert np.ptp(out.advantage, axis=-1).min() > 1e-3


def test_raw_advantage_is_the_stream_before_its_mean():
    net, params = made("nature-dueling", SMALL["nature-dueling"])
    out, hidden = transforms.activations(net.apply)(params, frames(SMALL["nature-dueling"]))
    raw = hidden["advantage_raw"]
    assert abs(raw.mean()) > 1e-4
    np.testing.assert_allclose(out.advantage, raw - raw.mean(), atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_several_seeds_begin_one_after_the_other(name):
    net, frame = networks.make(name, num_actions=4), np.zeros(SMALL[name], np.uint8)
    keys = jax.vmap(jax.random.key)(np.arange(2))
    found = decompositions(jax.vmap(net.init, (0, None)), keys, frame)
    assert found  # an orthogonal matrix is a QR
    assert not any(found)


def test_a_batched_decomposition_is_seen():
    assert decompositions(jax.vmap(jnp.linalg.qr), jnp.ones((2, 3, 3))) == [True, True]


def test_batches_and_small_frames_are_refused():
    net, params = made("nature", SMALL["nature"])
    with pytest.raises(ValueError, match=r"ONE observation \[H W C\], got shape \(2, 36, 40, 3\).*jax.vmap"):
        net.apply(params, frames(SMALL["nature"], 2))
    with pytest.raises(ValueError, match=r"at least 36x36 pixels.*got shape \(4, 84, 84\).*moveaxis"):
        net.apply(params, frames((4, 84, 84)))


def test_bad_names_options_and_numbers_are_refused():
    with pytest.raises(ValueError, match=r"'natur'; there are nature, nature-q, .*Did you mean 'nature'"):
        networks.make("natur", 4)
    with pytest.raises(ValueError, match=r"'zzz'; there are nature, nature-q, nature-dueling, minatar, minatar-q, "):
        networks.make("zzz", 4)
    with pytest.raises(TypeError, match="nature has no option 'width'; its options are dtype"):
        networks.make("nature", 4, width=3)
    with pytest.raises(TypeError, match="no option 'features', 'parent'"):
        networks.make("nature", 4, parent=None, features=3)
    with pytest.raises(ValueError, match=r"float32 or bfloat16, got dtype='float16'.*dtype='bfloat16'"):
        networks.make("nature", 4, dtype="float16")
    with pytest.raises(ValueError, match="got dtype='wide'"):
        networks.make("nature", 4, dtype="wide")
    assert networks.options_of("minatar-idqn") == ("keys", "low", "high", "values", "decoder", "dtype")
    for options, match in (({"keys": 1}, "keys=1, .*2 or more"), ({"low": 2.0, "high": 2.0}, "low must be less")):
        with pytest.raises(ValueError, match=match):
            made("minatar-idqn", (10, 10, 4), **options)
    for wrong in (0, -1, 2.0, True, "4"):
        with pytest.raises(ValueError, match=r"positive int.*env\.num_actions"):
            networks.make("nature", wrong)
    assert networks.make("nature", np.int64(4)) == networks.make("nature", 4, dtype=jnp.float32)


def test_frames_in_colour_are_decoded_to_their_own_size():
    """FACTS I11: what 210x160 leaves over in the convolutions is added behind the transposed ones, and holds their bias."""
    net, obs = networks.make("idqn", 9), jax.ShapeDtypeStruct((210, 160, 12), jnp.uint8)
    shapes = jax.eval_shape(net.init, jax.random.key(0), obs)
    assert shapes["params"]["fc"]["kernel"].shape == (22 * 16 * 64, 256)
    assert jax.eval_shape(net.apply, shapes, obs).reconstruction.shape == (210, 160, 12)
    decoder = Decoder(begin=(3, 2, 4), deconvs=((6, 3, 1, (0, 0)), (5, 4, 2, (1, 0)), (2, 8, 4, (3, 1))))
    params = decoder.init(jax.random.key(1), jnp.ones(7))
    params["params"]["deconv3"]["bias"] = jnp.array([3.0, 5.0])
    image = decoder.apply(params, jnp.ones(7))
    rows, columns = (((side + 2 - 1) * 2 + 4 + more - 1) * 4 + 8 for side, more in ((3, 1), (2, 0)))
    assert image.shape == (rows + 3, columns + 1, 2)
    np.testing.assert_array_equal(image[rows:], jnp.broadcast_to(jnp.array([3.0, 5.0]), (3, columns + 1, 2)))
    np.testing.assert_array_equal(image[:, columns:], jnp.broadcast_to(jnp.array([3.0, 5.0]), (rows + 3, 1, 2)))
    assert not np.allclose(image[:rows, :columns], image[-1, -1])
