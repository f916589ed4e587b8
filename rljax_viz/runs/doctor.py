"""What works on this machine, what does not, and how to mend it."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from typing import NamedTuple


class Finding(NamedTuple):
    """`state` is "ok", "missing" (something optional) or "broken"; `fix` says what to do."""

    what: str
    state: str
    says: str
    fix: str = ""


def diagnose() -> list[Finding]:
    """Looks at versions, devices, memory, environments, Qt, the video writer and the browser; plays one step of each door."""
    checks: list[tuple[str, Callable[[], tuple[str, str, str]]]] = [
        ("python", _python),
        ("packages", _packages),
        ("devices", _devices),
        ("memory", _memory),
        ("convolutions", _convolutions),
        ("gymnax (MinAtar)", lambda: _plays("Breakout-MinAtar")),
        ("envpool (Atari)", lambda: _plays("Breakout-v5")),
        ("envpool (Procgen)", lambda: _plays("CoinrunHard-v0")),
        ("zoo", _zoo),
        ("video (ffmpeg)", _video),
        ("browser (page tests)", _browser),
    ]
    findings = []
    for what, check in checks:
        try:
            findings.append(Finding(what, *check()))
        except Exception as error:  # a doctor reports whatever breaks
            optional = what.startswith(("envpool (Procgen)", "browser"))
            first, _, rest = str(error).partition(". ")
            findings.append(Finding(what, "missing" if optional else "broken", first, rest))
    return findings


def _python() -> tuple[str, str, str]:
    good = sys.version_info >= (3, 11)
    return "ok" if good else "broken", f"{platform.python_version()} on {platform.platform()}", "Python 3.11 or newer"


def _packages() -> tuple[str, str, str]:
    names = ("jax", "jaxlib", "flax", "optax", "numpy", "envpool", "gymnax", "tensorstore", "orbax-checkpoint")
    found, absent = [], []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    fix = f"pip install {' '.join(absent)}" if absent else ""
    return "broken" if absent else "ok", ", ".join(found), fix


def _devices() -> tuple[str, str, str]:
    import jax

    kinds = ", ".join(f"{d.platform}:{d.id} {d.device_kind}" for d in jax.local_devices())
    fix = "" if jax.default_backend() != "cpu" else "for an NVIDIA GPU: pip install 'jax[cuda13]'"
    return "ok", f"{kinds} ({os.cpu_count()} CPU cores)", fix


def _memory() -> tuple[str, str, str]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(".").free / 2**30
    good = total > 3.5 and free > 2
    fix = "the demonstration needs about 4 GiB of memory and 2 GiB of disk" if not good else ""
    return "ok" if good else "broken", f"{total:.1f} GiB of memory, {free:.1f} GiB free on this disk", fix


def _convolutions() -> tuple[str, str, str]:
    import jax
    import jax.numpy as jnp

    from ..networks import make
    from ..transforms import conv_report, fast_convs, native

    if jax.default_backend() != "cpu":
        return "ok", "XLA's own", ""
    says, errors, left = [], [], 0
    for name, obs in (("nature", jnp.ones((84, 84, 4))), ("coinrun", jnp.ones((64, 64, 3)))):
        net = make(name, 4)
        params = net.init(jax.random.key(0), obs)
        plain, fast = (f(params, obs).logits for f in (net.apply, fast_convs(net.apply)))  # pyright: ignore
        errors.append(float(jnp.abs(plain - fast).max() / jnp.abs(plain).max()))
        lines = conv_report(net.apply)(params, obs)
        forms = dict.fromkeys("/".join(dict.fromkeys(line.plan)) if line.plan else "lax" for line in lines)
        left += sum(line.plan is None for line in lines)
        says.append(f"{name}: {', '.join(forms)}")
    why = native.why_not()
    form = "XLA's products" if why else f"oneDNN, bfloat16 {'with' if native.has_amx() else 'without'} AMX"
    text = f"{form} ({'; '.join(says)}; {left} left on lax.conv), equal to lax.conv to {max(errors):.1e}"
    return "ok" if max(errors) < 1e-4 else "broken", text, f"faster with oneDNN: {why}" if why else ""


def _plays(env_id: str) -> tuple[str, str, str]:
    import jax
    import jax.numpy as jnp

    from ..envs import make

    env = make(env_id, 2)
    state, timestep = jax.jit(env.reset)(jax.random.key(0))
    _, timestep = jax.jit(env.step)(state, jnp.zeros(2, jnp.int32))
    return "ok", f"{env_id} plays, frames {timestep.obs.shape[1:]}, {env.num_actions} actions{_steps_by(env_id)}", ""


def _steps_by(env_id: str) -> str:
    if env_id.endswith("MinAtar"):
        return ""
    from ..envs.envpool_steps import why_not

    why = why_not("procgen" if env_id.endswith("-v0") else "atari")
    return f", steps by host callback: {why}" if why else ", steps inside compiled programs"


def _zoo() -> tuple[str, str, str]:
    from .. import zoo

    return "ok", ", ".join(zoo.names()) or "empty", ""


def _video() -> tuple[str, str, str]:
    import imageio_ffmpeg

    return "ok", f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}", ""


def _browser() -> tuple[str, str, str]:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return "ok", found, ""
    return "missing", "no Chromium", "only the page tests need it: apt-get install chromium"
