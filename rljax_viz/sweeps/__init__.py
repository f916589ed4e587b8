"""Many frames and many seeds: functions come as arguments, devices and disks are kept busy."""

from rljax_viz.sweeps.engines import run_on_ray, submit_to_slurm
from rljax_viz.sweeps.map_frames import MapSummary, UnreadableFrames, map_frames
from rljax_viz.sweeps.probe import best_tile, measure

__all__ = ["MapSummary", "UnreadableFrames", "best_tile", "map_frames", "measure", "run_on_ray", "submit_to_slurm"]
