"""Declaration for Weir's Faust runtime: no override, but for the sink of the at-least-once variant."""

from __future__ import annotations

import platform
from importlib import metadata

from engines.contract import Capability, Declaration, Override, Support, survives
from engines.faust.bugs import BUGS
from engines.faust.guard import PINNED
from engines.faust.plan import Guarantee
from engines.faust.stages import cut
from semantics.pipeline import Explode, Pipeline, nodes, sources
from semantics.rules import CONTRACT, Rules, Sink

VARIANTS = {
    "": "exactly once: outputs, state and positions in one Kafka transaction",
    "standby": "every worker keeps a copy of the state that others own; whoever takes over reads only the rest",
    "at-least-once": "no transactions: a crash may repeat output, the state stays exact",
} | {name: f"planted bug: {bug.says}" for name, bug in BUGS.items()}
TITLE = "Faust (Weir runtime)"
_AT_LEAST_ONCE = Override(
    rule="sink",
    source="Kafka documentation, Message Delivery Semantics (https://kafka.apache.org/documentation/#semantics): a "
    "consumer that saves its position after processing may process its first messages again after a crash",
    remedy="the default variant, faust, writes outputs, state and positions in one transaction",
)


def capability(pipeline: Pipeline, partitions: int) -> Capability:
    """Say how a pipeline would be run."""
    *before, _ = cut(pipeline, partitions)
    torn = any(isinstance(node, Explode) for stage in before for node in nodes(stage.pipeline))
    if torn and any(source.late_output for source in sources(pipeline)):
        return Capability(
            Support.NOT_IMPLEMENTED,
            "parts of one record go to several partitions before they meet an operator, and no task knows of all that"
            " are late: each would write a letter, where the record is one",
        )
    return Capability(Support.RECIPE, "operators, store and transactions are ours, on Faust's worker and group")


def _weak_survival(pipeline: Pipeline, partitions: int) -> Capability:
    """Say what at least once promises of a pipeline after a kill. Behind a new key repeats are new events."""
    if len(cut(pipeline, partitions)) > 1:
        return Capability(
            Support.UNSUPPORTED,
            "at least once, events that go to other partitions may go again after a kill, and are counted again there:"
            " no rule bounds what comes out",
        )
    return Capability(Support.NATIVE)


def declaration(variant: str) -> Declaration:
    """Return the declaration of a variant."""
    weak = guarantee(variant) is Guarantee.AT_LEAST_ONCE
    bug = BUGS.get(variant)
    return Declaration(
        engine="faust",
        title=f"{TITLE}{', at least once' if weak else ''}{f' with a planted bug ({variant})' if bug else ''}",
        versions={name: _version(name) for name in PINNED} | {"python": platform.python_version()},
        rules=Rules(sink=Sink.AT_LEAST_ONCE) if weak else CONTRACT,
        overrides=(_AT_LEAST_ONCE,) if weak else (),
        capability=capability,
        survival=_weak_survival if weak else survives,
        bug=bug.says if bug else "",
        caught_by=bug.caught_by if bug else (),
    )


def guarantee(variant: str) -> Guarantee:
    """Return how a variant commits; a planted bug breaks the stronger way."""
    return Guarantee.AT_LEAST_ONCE if variant == "at-least-once" else Guarantee.EXACTLY_ONCE


def _version(name: str) -> str:
    """Return the version that is installed; a recorded run can be judged without any."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{PINNED[name]} (not installed)"
