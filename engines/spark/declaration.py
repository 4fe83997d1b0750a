"""Declaration for Spark, on its behalf: every rule unlike the contract, with a source.

Each was seen on 4.2.0 with Kafka before it was written down; the source says why it is so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

from engines import jars, java
from engines.contract import Capability, Declaration, Override, Support
from engines.errors import EnvironmentNotReady
from engines.spark.capability import CATALYST, GUIDE, SQL, STATEFUL, VERSION, capability
from engines.spark.cluster import clustered
from engines.spark.crash import BY_OUTPUT, NO_CRASH_BECAUSE, POINTS
from engines.spark.gate import INNER
from engines.spark.variants import SHIPPED, STRICT, SinkKind, Trigger, sink_kind, trigger
from semantics.rules import (
    Average,
    BadRecord,
    Counts,
    DedupForget,
    FilteredClock,
    JoinClock,
    LateCount,
    NullJoinKey,
    NullTime,
    OperatorClock,
    OwnConditionFalse,
    RestartClock,
    RestartTimers,
    RowLateness,
    Rules,
    Runs,
    SessionLateness,
    Sink,
    TrailingBatch,
    ValueBound,
    WatermarkAdvance,
    WatermarkResolution,
    WatermarkScope,
    WatermarkStart,
)

PYSPARK = VERSION
"""The release whose Kafka connector is in the lock of jars."""
_KAFKA = f"https://spark.apache.org/docs/{VERSION}/streaming/structured-streaming-kafka-integration.html"
_PULL = "https://github.com/apache/spark/pull"
_STREAMING = f"{SQL}/core/src/main/scala/org/apache/spark/sql/execution/streaming"

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
    counts=Counts.OF_A_PROCESS,
    average=Average.DOUBLE,
    restart_clock=RestartClock.GLOBAL_ONLY,
    restart_timers=RestartTimers.AT_INPUT,
    sink=Sink.AT_LEAST_ONCE,
)
_SOURCES = {
    "watermark_scope": f"{_PULL}/15702: the highest event time over all of the partitions in the query; "
    f"{STATEFUL}/EventTimeWatermarkExec.scala: EventTimeStats.merge",
    "watermark_advance": f"{GUIDE} 'Handling Late Data and Watermarking': the watermark is set at the beginning of "
    f"every trigger; {_PULL}/39931 (SPARK-42376): late rows are judged by that of the batch before",
    "watermark_resolution": f"{STATEFUL}/EventTimeWatermarkExec.scala: event time is measured in milliseconds",
    "watermark_start": f"{_STREAMING}/runtime/WatermarkTracker.scala: globalWatermarkMs starts at 0, "
    "and an input without events counts as 0",
    "filtered_clock": f"{_PULL}/48570 (SPARK-50046): filters are pushed below the watermark node; "
    f"{CATALYST}/optimizer/Optimizer.scala: PushPredicateThroughNonJoin, and InferFiltersFromConstraints for joins",
    "operator_clock": f"{GUIDE} 'Policy for handling multiple watermarks': one global watermark for the stateful "
    "operations of a query, by default the lowest of all its inputs",
    "join_clock": f"{CATALYST}/analysis/StreamingJoinHelper.scala: getStateValueWatermark subtracts 1 from whole "
    "milliseconds, because state is cleaned up inclusively",
    "row_lateness": f"{_PULL}/56043: every row whose event time equals the watermark is dropped; "
    f"{STATEFUL}/statefulOperators.scala: WatermarkSupport.watermarkExpression is LessThanOrEqual",
    "session_lateness": f"{STATEFUL}/statefulOperators.scala: SessionWindowStateStoreRestoreExec drops late rows by "
    "the end of their own session before it merges them into the state",
    "dedup_forget": f"{STATEFUL}/statefulOperators.scala: StreamingDeduplicateWithinWatermarkExec keeps time + delay, "
    "and evicts what the watermark has reached",
    "null_join_key": f"{_STREAMING}/operators/stateful/join/SymmetricHashJoinStateManager.scala: rows meet by the "
    "bytes of their keys, null included; the optimizer filters null keys only from a side that is not preserved",
    "own_condition_false": f"{STATEFUL}/join/StreamingSymmetricHashJoinExec.scala: a row that fails the condition on "
    "its own side is joined with nulls, and put out, when it comes (generateFilteredJoinedRow); it is not stored",
    "value_bound": f"{CATALYST}/analysis/StreamingJoinHelper.scala: getStateWatermarkFromLessThenPredicate asks that "
    "a column be of the side whose state it bounds, not that it be its event time; of all bounds the lowest counts",
    "bad_record": f"{_PULL}/23253 (SPARK-26303): by default from_json keeps what fields it can convert, and none of "
    f"malformed JSON; the others are null; {CATALYST}/json/CreateJacksonParser.scala: utf8String decodes through a "
    "Java reader, which puts U+FFFD for bytes that are not UTF-8",
    "null_time": f"{CATALYST}/analysis/ResolveTimeWindows.scala: TimeWindowing and SessionWindowing filter by "
    f"IsNotNull of the time column; {STATEFUL}/statefulOperators.scala: a dedup reads the time as a long, 0 for null, "
    "and no watermark predicate is true of null",
    "late_count": f"{GUIDE} on numRowsDroppedByWatermark: not always the count of late input rows, because "
    "aggregation checks pre-aggregated rows",
    "counts": f"{_STREAMING}/runtime/ProgressReporter.scala: what batches report is a queue in the driver's memory",
    "average": f"{CATALYST}/expressions/aggregate/Average.scala: the sum of integers is a DoubleType",
    "trailing_batch": f"{_PULL}/37213 (SPARK-39805), why Trigger.Once is deprecated: it runs one batch, and what the "
    "watermark closes is deferred to the next run, because there is no batch without data",
    "runs": f"{GUIDE} 'Triggers': available-now and once process all the available data, and then stop on their own",
    "restart_clock": f"{_STREAMING}/checkpointing/CommitLog.scala: CommitMetadata keeps one watermark, the query's; "
    "WatermarkTracker.scala: what each input has seen is a map in memory",
    "restart_timers": f"{_STREAMING}/runtime/MicroBatchExecution.scala: constructNextBatch runs a batch "
    "without data only if the batch before, of the same run, asks for it (previousContext, shouldRunAnotherBatch)",
    "sink": f"{_KAFKA} 'Writing Data to Kafka': at least once; some records may be duplicated",
}
_FOLKLORE = (
    f"{GUIDE} 'ForeachBatch': at least once by default, the batchId is there to deduplicate by. A transactional.id "
    "does not do that: KIP-98 (https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+"
    "Transactional+Messaging): it fences earlier producers, and completes what they left open"
)
_REMEDIES = {
    "bad_record": "the variant spark:dead-letters asks from_json what is torn, and writes it to a topic of its own",
    "null_time": "the variant spark:dead-letters writes what has no time to a topic of its own",
    "counts": "a StreamingQueryListener that writes reports elsewhere: it hears of each batch that is done",
    "restart_timers": "send a heartbeat: an event of any key wakes the timers of all",
    "trailing_batch": "the variant spark:available-now runs the batch without data too",
    "runs": "let the query run: its watermarks then see all of its inputs",
    "value_bound": "compute the condition as a column before the join, and name the column in it",
    "sink": "the variant spark:txn-sink commits each batch with its token in one Kafka transaction",
}
_TITLES = {
    "": "",
    SinkKind.TRANSACTIONAL.value: ", transactional sink (recipe)",
    SinkKind.FOLKLORE.value: ", one transactional.id per batch (folklore)",
    Trigger.AVAILABLE_NOW.value: ", one run per step: available-now",
    Trigger.ONCE.value: ", one run of one batch per step: once",
    STRICT: ", with dead letters (recipe)",
    SHIPPED: ", settings as shipped",
}


_NOT_OURS = Capability(
    Support.UNSUPPORTED, "The cluster that --spark-master names is not ours: no worker of it is started or ended."
)
_NO_TAKEOVER = Capability(
    Support.UNSUPPORTED,
    "An executor writes and the driver records, so that no one process dies between the two; and who takes over from a "
    f"driver is who starts it again ({GUIDE} 'Recovering from Failures with Checkpointing'): that is a restart.",
)


def declaration(variant: str = "") -> Declaration:
    """Return the declaration of a variant.

    Some mean something else: `txn-sink`, whose sink overrides nothing, `dead-letters`, which does with what cannot be
    used as the contract demands, and those whose runs end.
    """
    sink = sink_kind(variant)
    rules = replace(RULES, sink=Sink.EXACTLY_ONCE) if sink is SinkKind.TRANSACTIONAL else RULES
    if trigger(variant).bounded:
        rules = replace(rules, runs=Runs.A_STEP)
    if trigger(variant) is Trigger.ONCE:
        rules = replace(rules, trailing_batch=TrailingBatch.NO)
    if variant == STRICT:
        rules = rules.returned(("bad_record", "null_time"))
    sources = _SOURCES | {"sink": _FOLKLORE} if sink is SinkKind.FOLKLORE else _SOURCES
    return Declaration(
        engine="spark",
        title=f"Spark Structured Streaming{_TITLES[variant]}",
        versions=_versions(),
        rules=rules,
        overrides=tuple(
            Override(rule=rule, source=sources[rule], remedy=_REMEDIES.get(rule, "")) for rule in rules.overridden()
        ),
        capability=lambda pipeline, _partitions: capability(pipeline, variant),
        crash_points=POINTS | INNER if sink.ours else POINTS,
        no_crash_because="" if sink.ours else NO_CRASH_BECAUSE,
        told_by_output=BY_OUTPUT,
        scaling=_NOT_OURS if clustered() else Capability(Support.NATIVE),
        takeover=_NO_TAKEOVER,
        # As shipped each job compiles its plan, waits for its fetches, and forks for each file of its state, of which a
        # join has sixteen a batch: on two busy cores 3 s a job in the first step.
        together=8 if variant == SHIPPED else 40,
        warmup_s=60.0,
        warmup_because="A JVM compiles what it runs often. With 15 s of warm-up p99 was 878 ms at 20,000 events/s, and "
        "538 ms without the next 15 s.",
    )


def _versions() -> Mapping[str, str]:
    found = {f"{jar.artifact}": jar.version for jar in jars.lock()[jars.Section.SPARK]}
    try:
        where = {"master": "standalone cluster"} if clustered() else {}
        return {"pyspark": version("pyspark"), "java": java.find().version, **where, **found}
    except (PackageNotFoundError, EnvironmentNotReady):
        return {"pyspark": f"{PYSPARK} (cannot run here)", **found}
