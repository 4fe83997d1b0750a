"""What Spark runs, what is a recipe of ours, what it refuses, and what its design lacks: by the pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from engines.contract import Capability, Support
from engines.spark.variants import SHIPPED, STRICT, sink_kind, trigger
from semantics.pipeline import (
    Absence,
    Aggregate,
    AsOf,
    Dedup,
    Emit,
    Explode,
    How,
    Join,
    Lookup,
    PairTime,
    Pipeline,
    Session,
    Source,
    Stateful,
    Timer,
    Upsert,
    clocked,
    delays,
    inputs,
    nodes,
    origin,
    sources,
    steps,
)

VERSION = "4.2.0"
GUIDE = f"https://spark.apache.org/docs/{VERSION}/streaming/apis-on-dataframes-and-datasets.html"
STATE_GUIDE = f"https://spark.apache.org/docs/{VERSION}/streaming/structured-streaming-transform-with-state.html"
SQL = f"https://github.com/apache/spark/blob/v{VERSION}/sql"
STATEFUL = f"{SQL}/core/src/main/scala/org/apache/spark/sql/execution/streaming/operators/stateful"
CATALYST = f"{SQL}/catalyst/src/main/scala/org/apache/spark/sql/catalyst"

_NATIVE = Capability(Support.NATIVE)
_SINK = "the sink is ours, in foreachBatch"
_LETTERS = "A second branch reads the input once more, and writes what cannot be used."


def capability(pipeline: Pipeline, variant: str) -> Capability:
    """Return how a variant stands to a pipeline."""
    found = _capability(pipeline)
    if trigger(variant).bounded and ticks(pipeline):
        return Capability(
            Support.UNSUPPORTED,
            "A run that ends does not wait for the clock on the wall: with such timers it asks for another batch for "
            f"ever ({STATEFUL}/transformwithstate/TransformWithStateExecBase.scala: shouldRunAnotherBatch).",
        )
    if found.support is Support.RECIPE and variant == SHIPPED:
        return Capability(
            Support.UNSUPPORTED,
            f"{found.reason} It needs the RocksDB state store ({STATE_GUIDE}): with the default one, on the heap, its "
            "first batch fails.",
            error="UNSUPPORTED_FEATURE.STORE_BACKEND_NOT_SUPPORTED_FOR_TWS",
            at_start=False,
        )
    if found.support not in (Support.NATIVE, Support.RECIPE):
        return found
    if variant == STRICT:
        return Capability(Support.RECIPE, f"{found.reason} {_LETTERS}".strip())
    if not sink_kind(variant).ours:
        return found
    return Capability(Support.RECIPE, f"{found.reason} {_SINK[0].upper()}{_SINK[1:]}." if found.reason else f"{_SINK}.")


def _capability(pipeline: Pipeline) -> Capability:
    if any(source.idle_after is not None for source in sources(pipeline)):
        return Capability(
            Support.UNSUPPORTED,
            "No input is ever left out: of several the slowest counts, however long it is silent, or by a setting of "
            f"the whole query the fastest ({GUIDE} 'Policy for handling multiple watermarks').",
        )
    for node in nodes(pipeline):
        if (found := _of_node(node)).support is not Support.NATIVE:
            return found
    if (found := _of_chain(pipeline)).support is not Support.NATIVE:
        return found
    if (found := _of_letters(pipeline)).support is Support.NOT_IMPLEMENTED:
        return found
    recipes = [reason for node in nodes(pipeline) if (reason := recipe_of(node, last=node is pipeline))]
    return Capability(Support.RECIPE, " ".join(recipes)) if recipes else _NATIVE


def ticks(pipeline: Pipeline) -> bool:
    """Return whether the query runs batch after batch, data or not: processing time means something to it."""
    return any(isinstance(node, Absence) and node.timer is Timer.PROCESSING_TIME for node in nodes(pipeline))


def recipe_of(node: Pipeline, *, last: bool) -> str:
    """Return what a recipe of ours does for this node; empty where Spark has an operator."""
    match node:
        case Source(future=timedelta()):
            return (
                "A transformWithState keeps the highest time of each partition, before the clock, and marks the rest."
            )
        case Source(late_output=True):
            return "A second branch with a transformWithState, which notes each watermark, writes what Spark drops."
        case Upsert():
            return "A transformWithState keeps the latest version of each key, and passes on what is not older."
        case Absence(timer=Timer.PROCESSING_TIME):
            return "A transformWithState keeps the last event of each key, and has a timer of processing time."
        case Absence():
            return "A transformWithState keeps the latest event of each key, and has a timer for its silence."
        case Lookup(as_of=AsOf.ARRIVAL):
            return "A transformWithState over both inputs keeps the latest version of each key."
        case Lookup():
            return "A transformWithState over both inputs keeps versions and waiting events, and a timer for each."
        case Aggregate(ttl=ttl) if ttl is not None:
            return "A transformWithState keeps the aggregates of each key, and a timer that forgets them."
        case Aggregate(window=None) if not last:
            return "A transformWithState keeps the aggregates of each key, and says each change with its event."
        case _:
            return ""


def _of_letters(pipeline: Pipeline) -> Capability:
    """Say whether the recipe for dead letters fits."""
    if any(source.late_output and source.future is not None for source in sources(pipeline)):
        return Capability(Support.NOT_IMPLEMENTED, "One recipe for dead letters on an input, so far.")
    for node in nodes(pipeline):
        for read in inputs(node) if isinstance(node, Stateful) else ():
            if not any(source.late_output for source in sources(read)):
                continue
            if not isinstance(origin(read), Source | Stateful):
                return Capability(Support.NOT_IMPLEMENTED, "Late events of a union are not told apart, so far.")
            if any(isinstance(step, Explode) for step in steps(read)):
                return Capability(
                    Support.NOT_IMPLEMENTED, "Of a late event in parts each would be a dead letter, so far."
                )
            if isinstance(node, Aggregate) and (node.emit is Emit.UPDATE or _cut_or_own(node)):
                return Capability(Support.NOT_IMPLEMENTED, "Late events of such a window are not kept, so far.")
    return _NATIVE


def _cut_or_own(node: Aggregate) -> bool:
    return isinstance(node.window, Session) and not (
        isinstance(node.window.gap, timedelta) and node.window.longest is None
    )


def _of_chain(pipeline: Pipeline) -> Capability:
    """Say how operators feed each other, each of which could be run alone."""
    *below, last = nodes(pipeline)
    operators = [node for node in below if isinstance(node, Stateful)]
    for node in (*operators, last):
        if recipe_of(node, last=node is last) and any(isinstance(read, Stateful) for read in _beneath(node)):
            return Capability(Support.NOT_IMPLEMENTED, "A recipe reads sources, so far, and no other operator.")
    for node in operators:
        if recipe_of(node, last=False) and isinstance(last, Stateful) and not _runs_free(node):
            return Capability(
                Support.NOT_IMPLEMENTED, "What comes out of a recipe with a clock has none: it feeds no operator."
            )
        if isinstance(node, Aggregate) and node.window is not None and node.emit is Emit.UPDATE:
            return Capability(
                Support.NOT_IMPLEMENTED, "From one operator to the next Spark appends; updates go to the sink only."
            )
        if isinstance(node, Join) and node.window is not None:
            return Capability(Support.NOT_IMPLEMENTED, "A join on windows comes last so far.")
    ends = (*operators, last) if isinstance(last, Stateful) else operators
    for read in (read for operator in ends for read in _beneath(operator)):
        if isinstance(read, Join) and read.how.pairs and read.time is PairTime.LATER:
            return Capability(
                Support.UNSUPPORTED,
                "A column that is computed of both times has no watermark, and nothing that follows could close "
                f"({CATALYST}/analysis/UnsupportedOperationChecker.scala). Name one side's time.",
                error="STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
            )
    if isinstance(last, Aggregate) and last.emit is Emit.UPDATE:
        if any(isinstance(node, Aggregate) for node in operators):
            return Capability(
                Support.UNSUPPORTED,
                "An aggregate feeds another one in append mode only "
                f"({CATALYST}/analysis/UnsupportedOperationChecker.scala: ifCannotBeFollowedByStatefulOperation).",
                error="_LEGACY_ERROR_TEMP_3102",
            )
        if any(isinstance(node, Join) for node in operators):
            return Capability(Support.NOT_IMPLEMENTED, "A join before an aggregate in update mode was not tried.")
    return _NATIVE


def _runs_free(node: Pipeline) -> bool:
    """Return whether the clock can stand behind the operator as well as before it: it says each event, and at once."""
    if not isinstance(node, Aggregate) or node.ttl is not None:
        return False
    return all(isinstance(read, Source) for read in _beneath(node)) or not clocked(node)


def _beneath(node: Pipeline) -> Iterator[Pipeline]:
    return (below for stream in inputs(node) for below in nodes(stream))


def _of_node(node: Pipeline) -> Capability:
    match node:
        case Aggregate(window=window) if window is not None and window.grace:
            return Capability(
                Support.UNSUPPORTED,
                "A window has no grace of its own: how long late events are waited for is the watermark's delay, and "
                f"results come out after it ({GUIDE} 'Handling Late Data and Watermarking').",
            )
        case Aggregate(window=Session(), emit=Emit.UPDATE):
            return Capability(
                Support.UNSUPPORTED,
                f"Session windows have no update mode ({GUIDE} 'Types of time windows').",
                error="STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
            )
        case Join(how=How.ANTI):
            return Capability(
                Support.UNSUPPORTED,
                f"No anti join of two streams ({GUIDE} 'Support matrix for joins in streaming queries').",
                error="_LEGACY_ERROR_TEMP_3102",
            )
        case Dedup(stream, horizon=horizon) if delays(stream) != {horizon}:
            return Capability(
                Support.UNSUPPORTED,
                "How long an id is remembered is the watermark's delay, and no setting of its own "
                f"({GUIDE} 'Streaming Deduplication': dropDuplicatesWithinWatermark).",
            )
        case _:
            return _NATIVE
