"""What is on disk: recorded episodes and maps, as sharded zarr v3; chunked, resumable, no pickle.

A kill leaves whole shards. Other programs read the same files: `zarr.open_group(path)`, `xarray.open_zarr(path,
consolidated=False)`.
"""

from rljax_viz.store.arrays import DamagedStore, StoredArray
from rljax_viz.store.claims import Claims, claims_on
from rljax_viz.store.codes import encode
from rljax_viz.store.episodes import Episode, Episodes
from rljax_viz.store.maps import Maps, create_maps, open_maps
from rljax_viz.store.names import map_name, split_map_name
from rljax_viz.store.observations import Observations
from rljax_viz.store.record import EpisodeWriter, create_episodes
from rljax_viz.store.verify import Fault, Report, verify
from rljax_viz.store.windows import Gathered, Windows

__all__ = [
    "Claims",
    "DamagedStore",
    "Episode",
    "EpisodeWriter",
    "Episodes",
    "Fault",
    "Gathered",
    "Maps",
    "Observations",
    "Report",
    "StoredArray",
    "Windows",
    "claims_on",
    "create_episodes",
    "create_maps",
    "encode",
    "map_name",
    "open_maps",
    "split_map_name",
    "verify",
]
