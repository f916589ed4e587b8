"""File names of map stores: what was computed, readable in a folder listing, and back again."""

import re
from urllib.parse import quote, unquote

_PAST = re.compile(r"\+past[1-9][0-9]*(?=\.zarr$)")


def map_name(method: str, score: str, layer: str | None = None, past: int = 0) -> str:
    """`<method>-<score>[-<layer>].zarr`, safe on every file system; with past frames `...+past<N>.zarr`.

    `:` becomes `=` (`logit:chosen` -> `logit=chosen`); whatever else is not a letter, a digit or one of `_ , .`
    becomes `%` and its code, the separating `-` too, so that `split_map_name` gives the three parts back.
    Raises ValueError for an empty part.
    """
    parts = [method, score] if layer is None else [method, score, layer]
    if not all(parts):
        raise ValueError(f"a map is named by method, score and perhaps layer, none of them empty; got {parts}")
    safe = (quote(part, safe="_,.:").replace("-", "%2D").replace("~", "%7E").replace(":", "=") for part in parts)
    return "-".join(safe) + (f"+past{past}" if past else "") + ".zarr"


def split_map_name(name: str) -> tuple[str, str, str | None]:
    """(method, score, layer) of a file name that `map_name` made; layer is None where there is none.

    Past frames are left out: the attributes of the maps have them.
    """
    parts = [unquote(part.replace("=", ":")) for part in _PAST.sub("", name).removesuffix(".zarr").split("-")]
    if not name.endswith(".zarr") or len(parts) not in (2, 3) or not all(parts):
        raise ValueError(f"{name!r} is not <method>-<score>[-<layer>].zarr")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else None
