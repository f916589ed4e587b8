"""The core explains on a machine that has neither environments nor plotting installed."""

import subprocess
import sys
import textwrap

ABSENT = ("envpool", "gymnax", "gymnasium", "matplotlib", "imageio_ffmpeg", "sklearn", "ray", "torch", "zarr", "ale_py")


def run(program: str) -> str:
    """The output of `program` in a process where ABSENT cannot be imported."""
    block = f"""
        import sys

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {ABSENT!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

        sys.meta_path.insert(0, Absent())
    """
    source = textwrap.dedent(block) + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_explains_without_environments():
    out = run("""
        import jax
        import jax.numpy as jnp
        import rljax_viz
        from rljax_viz import explain, networks, transforms

        net = networks.make("minatar", 3)
        obs = jax.random.randint(jax.random.key(0), (10, 10, 4), 0, 256).astype(jnp.uint8)
        params = net.init(jax.random.key(1), obs)
        map = explain.gradient(transforms.guided(net.apply), explain.scores.value)(params, obs)
        print(map.shape, bool(jnp.abs(map).max() > 0))
    """)
    assert out.split("\n")[0] == "(10, 10, 4) True"


def test_the_other_rooms_import_without_environments():
    run("""
        from rljax_viz import agents, cli, envs, images, networks, report, runs, store, sweeps, zoo
    """)


def test_the_blocking_works():
    out = run("""
        try:
            import envpool
        except ModuleNotFoundError as error:
            print(error.name)
    """)
    assert out == "envpool\n"
