"""Where Weir keeps what it fetched or built once: jars, the Java shim, class-data archives. All can be deleted."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir(name: str) -> Path:
    """Return (and make) the folder `name` of the user's cache: $WEIR_CACHE, $XDG_CACHE_HOME/weir or ~/.cache/weir."""
    chosen = os.environ.get("WEIR_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weir"
    path = base.expanduser().absolute() / name
    path.mkdir(parents=True, exist_ok=True)
    return path
