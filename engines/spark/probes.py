"""What Spark is asked: operator x output mode x watermark x time bound, area by area. Pure; imports no pyspark."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from engines.probing import Probe

HOW = """\
The source is Spark's own `rate-micro-batch` (four rows, then the end), the sink `noop`, the trigger available-now,
where a table is not about these; so what is refused is the plan, and what runs has run a batch of rows and, behind a
watermark, the batch without rows that follows. The continuous trigger reads `rate`, the real-time trigger the memory
stream with which Spark tests it. No Kafka is needed: that sink and source are what the catalogue plays on."""

AREAS = {
    "pass": "Events that only pass through",
    "aggregation": "Aggregations",
    "dedup": "Deduplication",
    "join": "Stream-stream joins",
    "static": "Joins with a static table",
    "chain": "One stateful operator after another",
    "operation": "Other operations",
    "action": "Actions on a streaming frame",
    "watermark": "Ways to define a watermark",
    "sink": "Sinks",
    "trigger": "Triggers",
}
"""Area -> its title."""
FACTS = "fact"

MODES = ("append", "update", "complete")
NONE, DEFINED = "no watermark", "watermark"
BOTH, LEFT, RIGHT = "both", "left", "right"
EQUALITY, RANGE, WINDOW, WINDOW_AND_TIME = "equality", "range", "window", "window beside the time"

AGGREGATIONS = (
    "by key",
    "of everything",
    "by event time",
    "tumbling window",
    "hopping window",
    "session window",
    "session window without key",
    "two windows",
    "count distinct",
    "approximate count distinct",
    "cube",
    "pivot",
)
DEDUPS = ("distinct", "dropDuplicates key", "dropDuplicates key and time", "dropDuplicatesWithinWatermark")
FORMS = (EQUALITY, RANGE, WINDOW, WINDOW_AND_TIME)
HOWS = ("inner", "left_outer", "right_outer", "full_outer", "left_semi", "left_anti")
STATIC = ("stream and table", "table and stream")
CHAINS = (
    "key count then key count",
    "window then window",
    "session then window",
    "dedup then window",
    "window then dedup",
    "join then window",
    "left join then window",
    "window then join",
    "join then join",
    "dedup then join",
    "join then dedup",
)
OPERATIONS = (
    "sort",
    "sort after aggregation",
    "limit",
    "limit after aggregation",
    "offset",
    "row_number",
    "union of streams",
    "union with a table",
    "intersect",
    "except",
    "sample",
    "explode",
    "rand",
    "monotonically_increasing_id",
    "repartition",
    "watermark without use",
)
ACTIONS = ("count", "collect", "show", "foreach", "write", "cache", "toLocalIterator")
WATERMARKS = (
    "negative delay",
    "delay without unit",
    "delay of a month",
    "delay of half a millisecond",
    "nested column",
    "string column",
    "timestamp_ntz column",
    "defined twice",
    "after the aggregation",
    "on another column than the window's",
)
SINKS = ("parquet", "json", "memory", "console", "noop", "foreach", "foreachBatch")
TRIGGERS = ("processingTime", "once", "availableNow", "continuous", "realTime")
SHAPES = ("pass", "by key", "tumbling window", "dropDuplicates key")


def matrix() -> tuple[Probe, ...]:
    """Return every combination that is asked, area by area."""
    return tuple(_all())


def _all() -> Iterator[Probe]:
    for mark, mode in product((NONE, DEFINED), MODES):
        yield Probe(area="pass", operator="select and where", watermark=mark, mode=mode)
    for area, operators in (("aggregation", AGGREGATIONS), ("dedup", DEDUPS), ("chain", CHAINS)):
        for operator, mark, mode in product(operators, (NONE, DEFINED), MODES):
            yield Probe(area=area, operator=operator, watermark=mark, mode=mode)
    for how, form, mark, mode in product(HOWS, FORMS, (NONE, LEFT, RIGHT, BOTH), MODES):
        yield Probe(area="join", operator=how, form=form, watermark=mark, mode=mode)
    for form, how, mode in product(STATIC, HOWS, MODES):
        yield Probe(area="static", operator=how, form=form, mode=mode)
    for operator, mode in product(OPERATIONS, MODES):
        yield Probe(area="operation", operator=operator, mode=mode)
    for operator in ACTIONS:
        yield Probe(area="action", operator=operator)
    for operator, mode in product(WATERMARKS, ("append", "update")):
        yield Probe(area="watermark", operator=operator, mode=mode)
    for operator, mode in product(SINKS, MODES):
        yield Probe(area="sink", operator=operator, mode=mode)
    for trigger, shape, mode in product(TRIGGERS, SHAPES, MODES):
        yield Probe(area="trigger", operator=trigger, form=shape, mode=mode)
