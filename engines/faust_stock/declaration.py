"""What plain Faust says of itself: every rule that it decides otherwise than the contract, and where that is written."""

from __future__ import annotations

import platform
from importlib import metadata

from engines.contract import Capability, Declaration, Override, Support
from semantics.pipeline import Aggregate, Dedup, Emit, Join, Pipeline, Session, Tumbling, rekeyed
from semantics.rules import BadRecord, LateCount, Rules, Sink
from semantics.time import us
from semantics.timeline import CrashPoint

PINNED = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0", "rocksdict": "0.3.29"}
VARIANTS = {
    "": "as shipped: processing_guarantee=at_least_once",
    "eos": "processing_guarantee=exactly_once",
}
_SOURCE = "https://github.com/faust-streaming/faust/blob/v0.15.3/faust"


def missing() -> str:
    """Return which library is absent or of another version, with the remedy; empty if none."""
    for name, wanted in PINNED.items():
        found = _version(name)
        if found != wanted:
            return f"{name} is {found}, not {wanted}; `make setup` installs what the lock says."
    return ""


def guarantee(variant: str) -> str:
    """Return Faust's `processing_guarantee` of a variant."""
    return "exactly_once" if variant == "eos" else "at_least_once"


def declaration(variant: str) -> Declaration:
    """Return the declaration of a variant."""
    return Declaration(
        engine="faust-stock",
        title="Faust (agents and Tables as shipped" + (", exactly_once)" if variant == "eos" else ")"),
        versions={name: _version(name) for name in PINNED} | {"python": platform.python_version()},
        rules=Rules(sink=Sink.AT_LEAST_ONCE, late_count=LateCount.NONE, bad_record=BadRecord.DROP_SILENTLY),
        overrides=tuple(Override(rule=rule, source="x"*30) for rule in ("sink","late_count","bad_record")),
        capability=capability,
        crash_points=frozenset({CrashPoint.BEFORE_PROCESS, CrashPoint.AFTER_SINK, CrashPoint.AFTER_PROGRESS}),
        no_crash_because="",
    )


def capability(pipeline: Pipeline, partitions: int) -> Capability:
    """Say how a pipeline would be run."""
    match pipeline:
        case Join():
            return _lacks("x")
        case Dedup():
            return _lacks("x")
        case Aggregate(window=Session()):
            return _lacks("x")
        case Aggregate(emit=Emit.FINAL):
            return _lacks("x")
        case Aggregate(window=Tumbling(size, offset=offset, grace=grace)) if us(offset) or us(grace):
            return _lacks("x")
        case _ if rekeyed(pipeline) and partitions > 1:
            return Capability(Support.NOT_IMPLEMENTED, "x")
    return Capability(Support.NATIVE)


def _lacks(reason: str) -> Capability:
    return Capability(Support.UNSUPPORTED, reason)


def _version(name: str) -> str:
    """Return the version that is installed; a recorded run can be judged without any."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{PINNED[name]} (not installed)"
