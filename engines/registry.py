"""The engines by name: `spark`, `faust:at-least-once`, ... Listing them imports none of their libraries."""

from __future__ import annotations

from importlib import import_module

from engines.contract import Engine
from engines.errors import EnvironmentNotReady
from engines.probing import Prober
from semantics.errors import UnknownName, did_you_mean

_ROOMS = {
    "reference": "engines.reference.engine",
    "faust": "engines.faust.engine",
    "faust-stock": "engines.faust_stock.engine",
    "spark": "engines.spark.engine",
}

_PROBERS = {"spark": "engines.spark.probe"}


def names() -> tuple[str, ...]:
    """Return every engine's name, in the order of the matrix."""
    return tuple(_ROOMS)


def get(name: str) -> tuple[Engine, str]:
    """Return the engine and the variant that `engine[:variant]` names. Raises `UnknownName`."""
    room, _, variant = name.partition(":")
    if room not in _ROOMS:
        raise UnknownName(f"No engine {room!r}.{did_you_mean(room, _ROOMS)}")
    engine: Engine = import_module(_ROOMS[room]).ENGINE
    if variant not in engine.variants:
        known = [f"{room}:{known}" if known else room for known in engine.variants]
        raise UnknownName(f"Engine {room} has no variant {variant!r}.{did_you_mean(name, known)}")
    return engine, variant


def require(name: str) -> tuple[Engine, str]:
    """Return the named engine if it can run here. Raises `EnvironmentNotReady` with the remedy, `UnknownName`."""
    engine, variant = get(name)
    missing = engine.missing()
    if missing:
        raise EnvironmentNotReady(f"Engine {engine.name} cannot run here: {missing}")
    return engine, variant


def prober(name: str) -> Prober | None:
    """Return how the named engine is probed; None if it has no probes. Raises `UnknownName`."""
    engine, _ = get(name)
    if engine.name not in _PROBERS:
        return None
    found: Prober = import_module(_PROBERS[engine.name]).PROBER
    return found


def installed() -> tuple[str, ...]:
    """Return the names of the engines that can run here."""
    return tuple(name for name in _ROOMS if not get(name)[0].missing())
