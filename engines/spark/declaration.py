"""What Spark says of itself: every rule that it decides otherwise than the contract, and where that is written.

Each was seen on 4.2.0 with Kafka before it was written down; the source says why it is so, and that it is meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

from engines import jars, java
from engines.contract import Capability, Declaration, Override, Support
from engines.errors import EnvironmentNotReady
from engines.spark.cluster import clustered
from engines.spark.crash import NO_CRASH_BECAUSE, POINTS
from engines.spark.gate import INNER
from engines.spark.variants import SHIPPED, SinkKind, sink_kind
from semantics.pipeline import (
    Absence,
    Aggregate,
    Dedup,
    Emit,
    How,
    Join,
    Lookup,
    PairTime,
    Pipeline,
    Session,
    Stateful,
    Upsert,
    delays,
    inputs,
    nodes,
    sources,
)
from semantics.rules import (
    Average,
    BadRecord,
    DedupForget,
    FilteredClock,
    JoinClock,
    LateCount,
    NullJoinKey,
    NullTime,
    OperatorClock,
    OwnConditionFalse,
    RestartClock,
    RowLateness,
    Rules,
    SessionLateness,
    Sink,
    ValueBound,
    WatermarkAdvance,
    WatermarkResolution,
    WatermarkScope,
    WatermarkStart,
)

PYSPARK = "4.2.0"
"""The release whose Kafka connector is in the lock of jars."""
_GUIDE = f"https://spark.apache.org/docs/{PYSPARK}/streaming/apis-on-dataframes-and-datasets.html"
_KAFKA = f"https://spark.apache.org/docs/{PYSPARK}/streaming/structured-streaming-kafka-integration.html"
_PULL = "https://github.com/apache/spark/pull"
_SQL = f"https://github.com/apache/spark/blob/v{PYSPARK}/sql"
_STREAMING = f"{_SQL}/core/src/main/scala/org/apache/spark/sql/execution/streaming"
_STATEFUL = f"{_STREAMING}/operators/stateful"
_CATALYST = f"{_SQL}/catalyst/src/main/scala/org/apache/spark/sql/catalyst"

RULES = Rules(
    watermark_scope=WatermarkScope.SOURCE_MAX,
    watermark_advance=WatermarkAdvance.BATCH,
    watermark_resolution=WatermarkResolution.MILLISECOND,
    watermark_start=WatermarkStart.EPOCH,
    filtered_clock=FilteredClock.IGNORED,
    operator_clock=OperatorClock.QUERY,
    join_clock=JoinClock.MINUS_1MS,
    row_lateness=RowLateness.AT_OR_BEFORE,
    own_condition_false=OwnConditionFalse.AT_ONCE,
    value_bound=ValueBound.IS_A_TIME,
    session_lateness=SessionLateness.OWN_SPAN,
    dedup_forget=DedupForget.AT_HORIZON,
    null_join_key=NullJoinKey.MATCH_IN_FULL,
    bad_record=BadRecord.NULL_FIELDS,
    null_time=NullTime.SQL_NULL,
    late_count=LateCount.PER_PARTIAL_AGGREGATE,
    average=Average.DOUBLE,
    restart_clock=RestartClock.GLOBAL_ONLY,
    sink=Sink.AT_LEAST_ONCE,
)
_SOURCES = {
    "watermark_scope": f"{_PULL}/15702: the highest event time over all of the partitions in the query; "
    f"{_STATEFUL}/EventTimeWatermarkExec.scala: EventTimeStats.merge",
    "watermark_advance": f"{_GUIDE} 'Handling Late Data and Watermarking': the watermark is set at the beginning of "
    f"every trigger; {_PULL}/39931 (SPARK-42376): late rows are judged by that of the batch before",
    "watermark_resolution": f"{_STATEFUL}/EventTimeWatermarkExec.scala: event time is measured in milliseconds",
    "watermark_start": f"{_STREAMING}/runtime/WatermarkTracker.scala: globalWatermarkMs starts at 0, "
    "and an input without events counts as 0",
    "filtered_clock": f"{_PULL}/48570 (SPARK-50046): filters are pushed below the watermark node; "
    f"{_CATALYST}/optimizer/Optimizer.scala: PushPredicateThroughNonJoin, and InferFiltersFromConstraints for joins",
    "operator_clock": f"{_GUIDE} 'Policy for handling multiple watermarks': one global watermark for the stateful "
    "operations of a query, by default the lowest of all its inputs",
    "join_clock": f"{_CATALYST}/analysis/StreamingJoinHelper.scala: getStateValueWatermark subtracts 1 from whole "
    "milliseconds, because state is cleaned up inclusively",
    "row_lateness": f"{_PULL}/56043: every row whose event time equals the watermark is dropped; "
    f"{_STATEFUL}/statefulOperators.scala: WatermarkSupport.watermarkExpression is LessThanOrEqual",
    "session_lateness": f"{_STATEFUL}/statefulOperators.scala: SessionWindowStateStoreRestoreExec drops late rows by "
    "the end of their own session before it merges them into the state",
    "dedup_forget": f"{_STATEFUL}/statefulOperators.scala: StreamingDeduplicateWithinWatermarkExec keeps time + delay, "
    "and evicts what the watermark has reached",
    "null_join_key": f"{_STREAMING}/operators/stateful/join/SymmetricHashJoinStateManager.scala: rows meet by the "
    "bytes of their keys, null included; the optimizer filters null keys only from a side that is not preserved",
    "own_condition_false": f"{_STATEFUL}/join/StreamingSymmetricHashJoinExec.scala: a row that fails the condition on "
    "its own side is joined with nulls, and put out, when it comes (generateFilteredJoinedRow); it is not stored",
    "value_bound": f"{_CATALYST}/analysis/StreamingJoinHelper.scala: getStateWatermarkFromLessThenPredicate asks that "
    "a column be of the side whose state it bounds, not that it be its event time; of all bounds the lowest counts",
    "bad_record": f"{_PULL}/23253 (SPARK-26303): by default from_json keeps what fields it can convert, and none of "
    "malformed JSON; the others are null",
    "null_time": f"{_CATALYST}/analysis/ResolveTimeWindows.scala: TimeWindowing and SessionWindowing filter by "
    f"IsNotNull of the time column; {_STATEFUL}/statefulOperators.scala: a dedup reads the time as a long, 0 for null, "
    "and no watermark predicate is true of null",
    "late_count": f"{_GUIDE} on numRowsDroppedByWatermark: not always the count of late input rows, because "
    "aggregation checks pre-aggregated rows",
    "average": f"{_CATALYST}/expressions/aggregate/Average.scala: the sum of integers is a DoubleType",
    "restart_clock": f"{_STREAMING}/checkpointing/CommitLog.scala: CommitMetadata keeps one watermark, the query's; "
    "WatermarkTracker.scala: what each input has seen is a map in memory",
    "sink": f"{_KAFKA} 'Writing Data to Kafka': at least once; some records may be duplicated",
}
_FOLKLORE = (
    f"{_GUIDE} 'ForeachBatch': at least once by default, the batchId is there to deduplicate by. A transactional.id "
    "does not do that: KIP-98 (https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+"
    "Transactional+Messaging): it fences earlier producers, and completes what they left open"
)
_REMEDIES = {
    "value_bound": "compute the condition as a column before the join, and name the column in it",
    "sink": "the variant spark:txn-sink commits each batch with its token in one Kafka transaction",
}
_TITLES = {
    "": "",
    SinkKind.TRANSACTIONAL.value: ", transactional sink (recipe)",
    SinkKind.FOLKLORE.value: ", a transactional.id a batch (folklore)",
    SHIPPED: ", settings as shipped",
}


NO_SCALING = Capability(
    Support.NOT_IMPLEMENTED, "driver and executors are one process here; a cluster that grows and shrinks comes later"
)


def declaration(variant: str = "") -> Declaration:
    """Return the declaration of a variant. Only `txn-sink` differs in meaning: its sink overrides nothing."""
    sink = sink_kind(variant)
    rules = replace(RULES, sink=Sink.EXACTLY_ONCE) if sink is SinkKind.TRANSACTIONAL else RULES
    sources = _SOURCES | {"sink": _FOLKLORE} if sink is SinkKind.FOLKLORE else _SOURCES
    return Declaration(
        engine="spark",
        title=f"Spark Structured Streaming{_TITLES[variant]}",
        versions=_versions(),
        rules=rules,
        overrides=tuple(
            Override(rule=rule, source=sources[rule], remedy=_REMEDIES.get(rule, "")) for rule in rules.overridden()
        ),
        capability=_recipe if sink.ours else _capability,
        crash_points=POINTS | INNER if sink.ours else POINTS,
        no_crash_because="" if sink.ours else NO_CRASH_BECAUSE,
        scaling=NO_SCALING,
        warmup_s=15.0,
        warmup_because="A JVM compiles what it runs often: in its first ten seconds a batch takes up to three times as "
        "long.",
    )


def _recipe(pipeline: Pipeline, partitions: int) -> Capability:
    found = _capability(pipeline, partitions)
    if found.support is not Support.NATIVE:
        return found
    return Capability(Support.RECIPE, "the sink is ours, in foreachBatch; all else is native")


def _capability(pipeline: Pipeline, _partitions: int) -> Capability:
    if any(source.late_output for source in sources(pipeline)):
        return Capability(
            Support.UNSUPPORTED,
            f"Late data is dropped and counted; no output has it ({_GUIDE} 'Handling Late Data and Watermarking').",
        )
    if any(source.future is not None for source in sources(pipeline)):
        return Capability(
            Support.UNSUPPORTED,
            "The watermark follows the highest event time of all, however far ahead it is "
            f"({_STATEFUL}/EventTimeWatermarkExec.scala: EventTimeStats).",
        )
    if any(source.idle_after is not None for source in sources(pipeline)):
        return Capability(
            Support.UNSUPPORTED,
            "No input is ever left out: of several the slowest counts, however long it is silent, or by a setting of "
            f"the whole query the fastest ({_GUIDE} 'Policy for handling multiple watermarks').",
        )
    if any(isinstance(node, Upsert | Absence | Lookup) or _limited(node) for node in nodes(pipeline)):
        return Capability(Support.NOT_IMPLEMENTED, "stateful code of our own (transformWithState) is not written yet")
    for node in nodes(pipeline):
        if (found := _of_node(node)).support is not Support.NATIVE:
            return found
    return _of_chain(pipeline)


def _of_chain(pipeline: Pipeline) -> Capability:
    """Say how operators feed each other, each of which could be run alone."""
    *below, last = nodes(pipeline)
    operators = [node for node in below if isinstance(node, Stateful)]
    for node in operators:
        if isinstance(node, Aggregate) and node.window is None:
            return Capability(
                Support.NOT_IMPLEMENTED,
                "A running aggregate's row has no time and no id in Spark: it would need state of our own.",
            )
        if isinstance(node, Aggregate) and node.emit is Emit.UPDATE:
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
                f"({_CATALYST}/analysis/UnsupportedOperationChecker.scala). Name one side's time.",
                error="STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
            )
    if isinstance(last, Aggregate) and last.emit is Emit.UPDATE:
        if any(isinstance(node, Aggregate) for node in operators):
            return Capability(
                Support.UNSUPPORTED,
                "An aggregate feeds another one in append mode only "
                f"({_CATALYST}/analysis/UnsupportedOperationChecker.scala: ifCannotBeFollowedByStatefulOperation).",
                error="_LEGACY_ERROR_TEMP_3102",
            )
        if any(isinstance(node, Join) for node in operators):
            return Capability(Support.NOT_IMPLEMENTED, "A join before an aggregate in update mode was not tried.")
    return Capability(Support.NATIVE)


def _beneath(node: Pipeline) -> Iterator[Pipeline]:
    return (below for stream in inputs(node) for below in nodes(stream))


def _of_node(node: Pipeline) -> Capability:
    match node:
        case Aggregate(window=window) if window is not None and window.grace:
            return Capability(
                Support.UNSUPPORTED,
                "A window has no grace of its own: how long late events are waited for is the watermark's delay, and "
                f"results come out after it ({_GUIDE} 'Handling Late Data and Watermarking').",
            )
        case Aggregate(window=Session(), emit=Emit.UPDATE):
            return Capability(
                Support.UNSUPPORTED,
                f"Session windows have no update mode ({_GUIDE} 'Types of time windows').",
                error="STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
            )
        case Join(how=How.ANTI):
            return Capability(
                Support.UNSUPPORTED,
                f"No anti join of two streams ({_GUIDE} 'Support matrix for joins in streaming queries').",
                error="_LEGACY_ERROR_TEMP_3102",
            )
        case Dedup(stream, horizon=horizon) if delays(stream) != {horizon}:
            return Capability(
                Support.UNSUPPORTED,
                "How long an id is remembered is the watermark's delay, and no setting of its own "
                f"({_GUIDE} 'Streaming Deduplication': dropDuplicatesWithinWatermark).",
            )
        case _:
            return Capability(Support.NATIVE)


def _limited(node: Pipeline) -> bool:
    return isinstance(node, Aggregate) and (node.top is not None or node.ttl is not None)


def _versions() -> Mapping[str, str]:
    found = {f"{jar.artifact}": jar.version for jar in jars.lock()[jars.Section.SPARK]}
    try:
        where = {"master": "standalone cluster"} if clustered() else {}
        return {"pyspark": version("pyspark"), "java": java.find().version, **where, **found}
    except (PackageNotFoundError, EnvironmentNotReady):
        return {"pyspark": f"{PYSPARK} (cannot run here)", **found}
