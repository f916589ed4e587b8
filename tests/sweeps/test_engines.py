"""Ray's workers and a SLURM-like array do what one process does, also when one of them is killed."""

import functools
import hashlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from rljax_viz.store import create_maps, open_maps
from rljax_viz.sweeps import map_frames, run_on_ray, submit_to_slurm

N, SHARD, PARTS = 256, 8, 8
FRAMES = np.random.default_rng(0).integers(0, 256, (N, 6, 5, 2), dtype=np.uint8)


def saliency(params, obs):
    return (obs * params).sum(-1) / 7


class Deadly:
    """Frames that kill the first process that reads beyond `row`."""

    shape, dtype = FRAMES.shape, FRAMES.dtype

    def __init__(self, folder, row):
        self.flag, self.row = Path(folder) / "killed", row

    def __len__(self):
        return len(FRAMES)

    def __getitem__(self, rows):
        if rows.stop > self.row:
            try:
                self.flag.touch(exist_ok=False)
            except FileExistsError:
                return FRAMES[rows]
            os.kill(os.getpid(), signal.SIGKILL)
        return FRAMES[rows]


def work(part, folder, row):
    """The task: a part of the maps; tells the rows it was given and its process."""
    number, parts = part
    maps = create_maps(Path(folder) / "m.zarr", frames=N, shape=(6, 5), attributes={}, shard=SHARD)
    span = (number * N // parts, (number + 1) * N // parts)
    summary = map_frames(saliency, np.float32(0.5), Deadly(folder, row), maps, tile=SHARD, span=span)
    return summary.frames, os.getpid()


def fails(part):
    raise ValueError(f"part {part[0]} cannot be done")


def dies(part):
    os.kill(os.getpid(), signal.SIGKILL)


def files(folder):
    paths = sorted(p for p in Path(folder).rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    work((0, 1), folder, 10**9)
    return files(folder / "m.zarr")


@pytest.fixture
def by_value():
    """What is pickled of this module travels as it is: workers need not import the tests."""
    cloudpickle = pytest.importorskip("ray").cloudpickle
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray leaves sockets, files and processes to the garbage collector
def test_two_workers_one_killed_and_the_result_is_that_of_one_process(tmp_path, alone, by_value):
    seen = []
    task = functools.partial(work, folder=str(tmp_path), row=100)
    environment = {"JAX_PLATFORMS": "cpu"}
    done = run_on_ray(task, PARTS, workers=2, environment=environment, watch=lambda *at: seen.append(at))
    assert (tmp_path / "killed").exists()
    assert [frames for frames, _ in done] == [N // PARTS] * PARTS and seen[-1] == (PARTS, PARTS)
    assert len({pid for _, pid in done}) >= 2 and os.getpid() not in {pid for _, pid in done}
    assert open_maps(tmp_path / "m.zarr").done.all()
    assert files(tmp_path / "m.zarr") == alone
    with pytest.raises(ValueError, match="part 0 cannot be done"):
        run_on_ray(fails, 2, workers=1, environment=environment)
    with pytest.raises(RuntimeError, match="part 0 of 1 ended 3 workers"):
        run_on_ray(dies, 1, workers=1, environment=environment)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_array_of_processes(tmp_path, alone):
    pytest.importorskip("submitit")
    task = functools.partial(work, folder=str(tmp_path), row=10**9)
    jobs = submit_to_slurm(task, 2, str(tmp_path / "logs"), local=True)
    assert [job.result()[0] for job in jobs] == [N // 2] * 2
    assert files(tmp_path / "m.zarr") == alone


def test_without_the_packages_the_fix_is_said(monkeypatch, tmp_path):
    for name in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'rljax-viz\[ray\]'"):
        run_on_ray(fails, 1)
    with pytest.raises(ImportError, match=r"pip install 'rljax-viz\[slurm\]'"):
        submit_to_slurm(fails, 1, str(tmp_path))
