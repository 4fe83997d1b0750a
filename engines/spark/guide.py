"""What Spark's own guide says of the combinations in `probes.py`, in our words. Pure.

A statement covers the probes of which the page says yes or no; where two pages contradict each other, both stand here.
"""

from __future__ import annotations

from engines.probing import Probe, Statement
from engines.spark.probes import BOTH, DEFINED, EQUALITY, LEFT, NONE, RIGHT, STATIC

_DOCS = "https://spark.apache.org/docs/4.2.0/streaming"
_API = f"{_DOCS}/apis-on-dataframes-and-datasets.html"
_TIPS = f"{_DOCS}/performance-tips.html"
_REAL_TIME = "https://spark.apache.org/docs/4.3.0/streaming/real-time-mode.html"
_MODES, _MATRIX = "Output Modes", "Support matrix for joins in streaming queries"
_UNSUPPORTED, _SINKS = "Unsupported Operations", "Output Sinks"

_ON_TIME = ("by event time", "tumbling window", "hopping window", "approximate count distinct")
_NO_TIME = ("by key", "of everything", "cube")
_NEEDED = {
    "left_outer": (RIGHT, BOTH),
    "right_outer": (LEFT, BOTH),
    "full_outer": (LEFT, RIGHT, BOTH),
    "left_semi": (RIGHT, BOTH),
}
"""Join -> the watermarks of which any will do."""
_STATIC_RUNS = {STATIC[0]: ("inner", "left_outer", "left_semi"), STATIC[1]: ("inner", "right_outer")}


def _aggregation_on_time(p: Probe) -> bool:
    return p.area == "aggregation" and p.operator in _ON_TIME and p.watermark == DEFINED


def _other_aggregation(p: Probe) -> bool:
    untimed = p.operator in _NO_TIME or (p.operator in _ON_TIME and p.watermark == NONE)
    return p.area == "aggregation" and untimed


def _bounded(p: Probe) -> bool:
    return p.form != EQUALITY and p.watermark in _NEEDED.get(p.operator, ())


def _runs_static(p: Probe) -> bool:
    return p.operator in _STATIC_RUNS.get(p.form, ())


def _chained_otherwise(p: Probe) -> bool:
    return p.area == "chain" and p.mode != "append"


STATEMENTS: tuple[Statement, ...] = (
    Statement(
        id="G1",
        page=_API,
        section=_MODES,
        says="An aggregation on event time with a watermark runs in append, update and complete mode.",
        yes=True,
        covers=_aggregation_on_time,
    ),
    Statement(
        id="G2",
        page=_API,
        section=_MODES,
        says="Any other aggregation runs in complete and update mode.",
        yes=True,
        covers=lambda p: _other_aggregation(p) and p.mode != "append",
    ),
    Statement(
        id="G3",
        page=_API,
        section=_MODES,
        says="An aggregation without a watermark on its event time does not run in append mode.",
        yes=False,
        covers=lambda p: _other_aggregation(p) and p.mode == "append",
    ),
    Statement(
        id="G4",
        page=_API,
        section=_MODES,
        says="A query without aggregation runs in append and update mode.",
        yes=True,
        covers=lambda p: p.area == "pass" and p.mode != "complete",
    ),
    Statement(
        id="G5",
        page=_API,
        section=_MODES,
        says="A query without aggregation does not run in complete mode.",
        yes=False,
        covers=lambda p: p.area in ("pass", "dedup") and p.mode == "complete",
    ),
    Statement(
        id="G6",
        page=_API,
        section="Types of time windows",
        says="Session windows have no update mode.",
        yes=False,
        covers=lambda p: p.area == "aggregation" and p.operator == "session window" and p.mode == "update",
    ),
    Statement(
        id="G7",
        page=_API,
        section="Types of time windows",
        says="A session window needs a key beside it.",
        yes=False,
        covers=lambda p: p.area == "aggregation" and p.operator == "session window without key",
    ),
    Statement(
        id="G8",
        page=_API,
        section="Streaming Deduplication",
        says="Deduplication by columns runs with a watermark and without.",
        yes=True,
        covers=lambda p: p.area == "dedup" and p.operator.startswith("dropDuplicates key") and p.mode == "append",
    ),
    Statement(
        id="G9",
        page=_API,
        section="Streaming Deduplication",
        says="Deduplication within the watermark needs a watermark.",
        yes=False,
        covers=lambda p: p.operator == "dropDuplicatesWithinWatermark" and p.watermark == NONE,
    ),
    Statement(
        id="G10",
        page=_API,
        section=_UNSUPPORTED,
        says="Distinct is not supported on a stream.",
        yes=False,
        covers=lambda p: p.area == "dedup" and p.operator == "distinct",
    ),
    Statement(
        id="J1",
        page=_API,
        section=_MATRIX,
        says="An inner join of two streams runs; watermarks and a time bound only keep its state small.",
        yes=True,
        covers=lambda p: p.area == "join" and p.operator == "inner" and p.mode == "append",
    ),
    Statement(
        id="J2",
        page=_API,
        section=_MATRIX,
        says="Outer and semi joins run with a time bound and a watermark on the other side (full: on one).",
        yes=True,
        covers=lambda p: p.area == "join" and p.mode == "append" and _bounded(p),
    ),
    Statement(
        id="J3",
        page=_API,
        section="Outer Joins with Watermarking; Semi Joins with Watermarking",
        says="Without those, outer and semi joins must not be used.",
        yes=False,
        covers=lambda p: p.area == "join" and p.mode == "append" and p.operator in _NEEDED and not _bounded(p),
    ),
    Statement(
        id="J4",
        page=_API,
        section=f"{_MODES}; {_MATRIX}",
        says="Joins run in append mode alone.",
        yes=False,
        covers=lambda p: p.area == "join" and p.mode != "append",
    ),
    Statement(
        id="J5",
        page=_API,
        section=_MATRIX,
        says="A stream joins a table inner, semi, or outer on the stream's side (a table joins a stream: not semi).",
        yes=True,
        covers=lambda p: p.area == "static" and p.mode == "append" and _runs_static(p),
    ),
    Statement(
        id="J6",
        page=_API,
        section=_MATRIX,
        says="No other join of a stream and a table runs (anti joins are not spoken of).",
        yes=False,
        covers=lambda p: p.area == "static" and p.operator != "left_anti" and not _runs_static(p),
    ),
    Statement(
        id="C1",
        page=_API,
        section=_MATRIX,
        says="In append mode aggregations, deduplications and joins can follow each other.",
        yes=True,
        covers=lambda p: (
            p.area == "chain" and p.mode == "append" and p.watermark == DEFINED and "key" not in p.operator
        ),
    ),
    Statement(
        id="C2",
        page=_API,
        section=_UNSUPPORTED,
        says="Several stateful operators do not run in update or complete mode.",
        yes=False,
        covers=_chained_otherwise,
    ),
    Statement(
        id="U1",
        page=_API,
        section=_UNSUPPORTED,
        says="A limit is not supported on a stream.",
        yes=False,
        covers=lambda p: p.area == "operation" and p.operator.startswith("limit"),
    ),
    Statement(
        id="U2",
        page=_API,
        section=_UNSUPPORTED,
        says="Sorting runs after an aggregation and in complete mode.",
        yes=True,
        covers=lambda p: p.operator == "sort after aggregation" and p.mode == "complete",
    ),
    Statement(
        id="U3",
        page=_API,
        section=_UNSUPPORTED,
        says="Sorting does not run otherwise.",
        yes=False,
        covers=lambda p: p.operator == "sort" or (p.operator == "sort after aggregation" and p.mode != "complete"),
    ),
    Statement(
        id="U4",
        page=_API,
        section=_UNSUPPORTED,
        says="count, foreach and show cannot be called on a streaming frame.",
        yes=False,
        covers=lambda p: p.area == "action" and p.operator in ("count", "foreach", "show"),
    ),
    Statement(
        id="W1",
        page=_API,
        section="Conditions for watermarking to clean aggregation state",
        says="In append mode the watermark stands before the aggregation, on the column that it groups by.",
        yes=False,
        covers=lambda p: (
            p.area == "watermark" and p.mode == "append" and p.operator.startswith(("after the", "on another"))
        ),
    ),
    Statement(
        id="S1",
        page=_API,
        section=_SINKS,
        says="The file sink takes append mode alone.",
        yes=False,
        covers=lambda p: p.area == "sink" and p.operator in ("parquet", "json") and p.mode != "append",
    ),
    Statement(
        id="S2",
        page=_API,
        section=_SINKS,
        says="The memory sink takes append and complete mode.",
        yes=False,
        covers=lambda p: p.area == "sink" and p.operator == "memory" and p.mode == "update",
    ),
    Statement(
        id="S3",
        page=_API,
        section=_SINKS,
        says="Console, foreach and foreachBatch take every mode.",
        yes=True,
        covers=lambda p: p.area == "sink" and p.operator in ("console", "foreach", "foreachBatch"),
    ),
    Statement(
        id="T1",
        page=_API,
        section="Triggers",
        says="The micro-batch triggers (processing time, once, available-now) run whatever micro-batches run.",
        yes=True,
        covers=lambda p: (
            p.area == "trigger" and p.operator in ("processingTime", "once", "availableNow") and p.mode == "update"
        ),
    ),
    Statement(
        id="T2",
        page=_TIPS,
        section="Continuous Processing, Supported Queries",
        says="The continuous trigger runs projections and selections alone.",
        yes=False,
        covers=lambda p: p.area == "trigger" and p.operator == "continuous" and p.form != "pass",
    ),
    Statement(
        id="T3",
        page=_REAL_TIME,
        section="Requirements",
        says="The real-time trigger takes update mode alone.",
        yes=False,
        covers=lambda p: p.area == "trigger" and p.operator == "realTime" and p.mode != "update",
    ),
    Statement(
        id="T4",
        page=_REAL_TIME,
        section="Real-time Mode",
        says="Before 4.3 the real-time trigger runs no stateful operator.",
        yes=False,
        covers=lambda p: p.area == "trigger" and p.operator == "realTime" and p.form != "pass" and p.mode == "update",
    ),
    Statement(
        id="T5",
        page=_REAL_TIME,
        section="Supported Queries",
        says="The real-time trigger runs projections and selections.",
        yes=True,
        covers=lambda p: p.area == "trigger" and p.operator == "realTime" and p.form == "pass" and p.mode == "update",
    ),
)
