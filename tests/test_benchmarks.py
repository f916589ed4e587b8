"""The sides of a benchmark do the same work: equal loss and gradient; and the benchmarks run."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from rljax_viz import networks

ROOT = Path(__file__).parents[1]
VALUES = ("dqn", "double-dqn", "dddqn", "idqn", "drqn", "darqn", "split-attention")
POLICIES = ("ppo", "a2c", "a3c", "a3c-lstm", "acktr")

@pytest.fixture
def benchmark(monkeypatch):
    """A benchmark's module by name."""
    pytest.importorskip("torch", reason="the extra `bench`")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


def _made(config):
    network = networks.make(config.network, 4, **config.network_options)
    params = jax.jit(network.init)(jax.random.key(0), np.zeros((84, 84, config.preset.stack), np.uint8))
    return network, jax.tree.map(np.array, params)


@pytest.mark.slow
@pytest.mark.parametrize("algo", VALUES)
def test_learners_of_values_have_an_equal_peer(benchmark, algo):
    bench = benchmark("train_dqn")
    assert set(bench.PEERS) == set(VALUES)
    config = bench.settings(algo, "Breakout-v5", 16)
    assert bench.make_twins(algo, config, *_made(config))[2] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("algo", POLICIES)
def test_actor_critics_have_an_equal_peer(benchmark, algo):
    bench = benchmark("train_ppo")
    assert set(bench.PEERS) == set(POLICIES)
    config = bench.settings(algo, "Breakout-v5")
    assert bench.make_twin(algo, config, *_made(config))[1] < 1e-3


def test_unequal_work_is_refused(benchmark):
    torch = benchmark("torch")
    compare = benchmark("peers.equal").compare
    net = torch.nn.Linear(3, 1, bias=False)
    weight = net.weight.detach().numpy().copy()
    ours = lambda p, scale: scale * (p**2).sum()  # noqa: E731
    theirs = lambda: net.weight.square().sum()  # noqa: E731
    assert compare(ours, (weight, 1.0), theirs, net) < 1e-6
    with pytest.raises(SystemExit, match="do not do the same work"):
        compare(ours, (weight, 1.01), theirs, net)
    with pytest.raises(SystemExit, match="do not do the same work"):  # the same loss, another gradient
        compare(lambda p: (p * jax.lax.stop_gradient(p)).sum(), (weight,), theirs, net)


@pytest.mark.long
@pytest.mark.parametrize(
    ("script", "algo"), [*(("train_dqn", name) for name in VALUES), *(("train_ppo", name) for name in POLICIES)]
)
def test_training_benchmarks_run(script, algo):
    pytest.importorskip("torch", reason="the extra `bench`")
    command = [sys.executable, str(ROOT / "benchmarks" / f"{script}.py"), "--algo", algo, "--quick"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["algo"] == algo
    assert row["ours"]["median"] > 0
    assert row["peer"]["median"] > 0
