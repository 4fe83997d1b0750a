"""Declaration for the reference: the contract, whatever bug is planted in it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from engines.contract import Capability, Declaration, Support
from engines.reference.bugs import BUGS
from semantics.pipeline import Pipeline
from semantics.rules import CONTRACT

VARIANTS = {"": "the oracle itself"} | {name: f"planted bug: {bug.says}" for name, bug in BUGS.items()}
NO_CRASH = "The reference runs inside the harness: it has no process that could be killed."


def declare(variant: str) -> Declaration:
    """Return the declaration of a variant."""
    return Declaration(
        engine="reference",
        title=f"Reference with a planted bug ({variant})" if variant else "Reference (the oracle)",
        versions={"weir": _own_version()},
        rules=CONTRACT,
        capability=_capability,
        crash_points=frozenset(),
        no_crash_because=NO_CRASH,
        scaling=Capability(Support.UNSUPPORTED, NO_CRASH),
        warmup_s=1.0,
        warmup_because="nothing is compiled and nothing is cached",
        bug=BUGS[variant].says if variant else "",
    )


def _own_version() -> str:
    try:
        return version("weir")
    except PackageNotFoundError:
        return "checkout"  # Run from the source tree, never installed.


def _capability(pipeline: Pipeline, partitions: int) -> Capability:
    del pipeline, partitions
    return Capability(Support.NATIVE)
