"""Where Weir keeps what it fetched or built once: jars, the Java shim, class-data archives. All can be deleted."""

from __future__ import annotations

import os
from pathlib import Path

from engines.errors import EnvironmentNotReady


def cache_dir(name: str) -> Path:
    """Return (and make) the folder `name` of the user's cache: $WEIR_CACHE, $XDG_CACHE_HOME/weir or ~/.cache/weir.

    Raises `EnvironmentNotReady` if that cannot be.
    """
    chosen = os.environ.get("WEIR_CACHE")
    try:
        base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weir"
        path = base.expanduser().absolute() / name
    except RuntimeError as error:
        raise EnvironmentNotReady(
            "No place for the cache: no home folder is known. Set WEIR_CACHE to a folder that can be written."
        ) from error
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentNotReady(
            f"The cache {path} cannot be made ({error.strerror}). Set WEIR_CACHE to a folder that can be written."
        ) from error
    return path
