"""The main job: a trained agent plays a real game, six methods explain it, and a page shows what it saw."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..report import page_size
from ..store import Episodes
from .agent import Agent, load_agent
from .explain import Explained, explain_run
from .page import eventful_steps, report_run
from .play import record

#: What the demonstration shows; the Grad-CAM family at the first layer, as in Rosynski et al. 2020.
DEMO_METHODS = ("guided_backprop", "g2_grad_cam", "g1_grad_cam", "grad_cam", "gradient", "integrated_gradients")
DEMO_SCORES = ("value", "logit:chosen")
DEMO_OPTIONS = {"integrated_gradients": {"steps": 10}}


class Demo(NamedTuple):
    """What was made, and how fast."""

    agent: Agent
    episode_return: float
    episode_steps: int
    explained_steps: int
    explained: list[Explained]
    page: Path
    page_bytes: int
    video: Path | None
    seconds: float


def run_demo(
    out: Path,
    agent_name: str,
    *,
    max_frames: int = 600,
    seed: int = 0,
    methods: tuple[str, ...] = DEMO_METHODS,
    scores: tuple[str, ...] = DEMO_SCORES,
    watch: Callable[[str, int, int], None] = lambda what, done, all: None,
) -> Demo:
    """Records one whole game of `agent_name` (of the zoo, or a run), explains at most `max_frames` of its steps (those around
    rewards, lost lives and ends), and writes `report.html` and `saliency.mp4` into `out`.
    """
    began = time.perf_counter()
    agent = load_agent(agent_name)
    record(agent, out, 1, seed=seed, overwrite=True, watch=lambda rows, _: watch("play", rows, 0))
    episodes = Episodes(out / "episodes.zarr")
    rows = eventful_steps(episodes, max_frames)
    explained = explain_run(agent, out, methods, scores, rows=rows, options=DEMO_OPTIONS, watch=watch)
    page, video = report_run(out, rows=rows, watch=watch)
    total, steps = episodes.episodes[0].episode_return, len(episodes)
    size = page_size(page)
    return Demo(agent, float(np.round(total, 3)), steps, len(rows), explained, page, size, video, time.perf_counter() - began)
