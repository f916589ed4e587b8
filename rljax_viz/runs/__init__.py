"""The run directory: training, checkpoints, resuming, playing, explaining, and the page at the end of it."""

from .agent import Agent, load_agent, parameter_hash
from .checkpoints import Checkpoints
from .compare import Agreement, compare_run
from .config import RunConfig, default_network, make_config
from .demo import DEMO_METHODS, DEMO_OPTIONS, DEMO_SCORES, Demo, run_demo
from .doctor import Finding, diagnose
from .exchange import export_recording, import_recording
from .explain import Estimate, Explained, estimate_run, explain_part, explain_run, sum_of_parts, verify_run
from .export import export_agent
from .gaze import GAZE_METRICS, GazeScore, evaluate_gaze, trials_of
from .health import Checkup, check_health, examine
from .mapping import make_explain, methods_of
from .metrics import read_metrics
from .page import eventful_steps, report_run
from .play import Evaluation, evaluate, record
from .reader import Run, open_run
from .steps import choose_steps
from .train import Loop, Progress, make_loop, share_cores, train_run

__all__ = [
    "DEMO_METHODS",
    "DEMO_OPTIONS",
    "DEMO_SCORES",
    "GAZE_METRICS",
    "Agent",
    "Agreement",
    "Checkpoints",
    "Checkup",
    "Demo",
    "Estimate",
    "Evaluation",
    "Explained",
    "Finding",
    "GazeScore",
    "Loop",
    "Progress",
    "Run",
    "RunConfig",
    "check_health",
    "choose_steps",
    "compare_run",
    "default_network",
    "diagnose",
    "estimate_run",
    "evaluate",
    "evaluate_gaze",
    "eventful_steps",
    "examine",
    "explain_part",
    "explain_run",
    "export_agent",
    "export_recording",
    "import_recording",
    "load_agent",
    "make_config",
    "make_explain",
    "make_loop",
    "methods_of",
    "open_run",
    "parameter_hash",
    "read_metrics",
    "record",
    "report_run",
    "run_demo",
    "share_cores",
    "sum_of_parts",
    "train_run",
    "trials_of",
    "verify_run",
]
