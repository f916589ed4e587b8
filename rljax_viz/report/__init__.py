"""Arrays become pictures: the explorer page, video, one picture in a notebook. Knows nothing of networks or methods."""

from .explorer import page_size, write_explorer
from .film import decode, encode
from .gallery import write_gallery, write_past
from .overlay import overlay, show
from .recording import MapSeries, Recording
from .video import write_video

__all__ = [
    "MapSeries",
    "Recording",
    "decode",
    "encode",
    "overlay",
    "page_size",
    "show",
    "write_explorer",
    "write_gallery",
    "write_past",
    "write_video",
]
