"""Many frames and many seeds: functions come as arguments, devices and disks are kept busy."""

from rljax_viz.sweeps.map_frames import MapSummary, UnreadableFrames, map_frames

__all__ = ["MapSummary", "UnreadableFrames", "map_frames"]
