"""Facts of Spark that no expectation of the catalogue asks about, each as a question with yes or no for an answer.

They decide what is commonly said (docs/claims.md). Pure; what finds the answers is `probe_facts.py`.
"""

from __future__ import annotations

from engines.probing import Probe
from engines.spark.probes import FACTS

QUESTIONS = {
    "dedup-by-id-forgets": "Does dropDuplicates on an id forget what the watermark has passed?",
    "dedup-by-id-and-time-forgets": "Does dropDuplicates on id and event time forget what the watermark has passed?",
    "dedup-before-watermark-forgets": "Does dropDuplicates forget with withWatermark behind it?",
    "dedup-passes-late-id": "Does dropDuplicates pass an id that it never saw, when the event is late?",
    "dedup-in-foreach-batch-remembers": "Does dropDuplicates inside foreachBatch know earlier batches?",
    "complete-drops-late": "Does complete mode drop a late event?",
    "shuffle-partitions-change": "Does a stateful query follow a new spark.sql.shuffle.partitions after a restart?",
    "window-length-change-refused": "Is a restart with another window length on the same checkpoint refused?",
    "aggregate-swap-refused": "Is a restart with max in place of sum on the same checkpoint refused?",
    "aggregate-added-refused": "Is a restart with one more aggregate on the same checkpoint refused?",
    "column-rename-refused": "Is a restart with another name for a result column refused?",
    "name-change-reprocesses": "Is input processed again when a query comes back under another name?",
    "batch-ids-restart": "Do batch ids begin at 0 again with a new checkpoint?",
    "checkpoint-location-required": "Is a stateful query without a checkpoint location refused?",
    "checkpoint-has-progress": "Are there folders for progress or sinks in a checkpoint?",
    "stop-waits": "Does stop() let a running batch come to its commit?",
    "second-run-stops-first": "Does starting a query on a checkpoint in use stop the run that uses it?",
    "once-closes-windows": "Does the once trigger give out the windows that its last row closed?",
    "available-now-closes-windows": "Does available-now give out the windows that its last row closed?",
    "processing-time-closes-windows": "Does the processing-time trigger give out the windows that its last row closed?",
    "once-keeps-rate-limit": "Does the once trigger keep to maxFilesPerTrigger?",
    "available-now-keeps-rate-limit": "Does available-now keep to maxFilesPerTrigger?",
    "trigger-change-reprocesses": "Is input processed again when a query comes back under another trigger?",
    "adaptive-stateful": "Is the plan of a stateful batch adaptive?",
    "adaptive-stateless": "Is the plan of a stateless batch with a shuffle adaptive?",
    "progress-has-scheduling-delay": "Does a progress report name a scheduling or total delay?",
    "progress-has-observed-watermark": "Does a progress report name an observedWatermark?",
    "udf-time-stops-watermark": "Does an event time from a Python function keep the watermark from moving?",
    "malformed-json-is-null": "Does from_json return null for malformed text?",
    "corrupt-column-by-itself": "Does from_json keep malformed text when the schema has no _corrupt_record?",
    "from-json-dropmalformed": "Does from_json take the mode DROPMALFORMED?",
    "bad-cast-is-null": "Does a cast that fails give null, with default settings?",
    "from-unixtime-keeps-millis": "Does from_unixtime keep the milliseconds of epoch milliseconds?",
    "slice-takes-binary": "Does slice() cut bytes off a binary column?",
    "filters-cover-all": "Does every row pass either a filter or its negation?",
    "python-has-map-groups": "Has PySpark a mapGroupsWithState?",
    "python-has-flat-map-groups": "Has PySpark a flatMapGroupsWithState?",
    "python-has-transform-with-state": "Has PySpark a transformWithState?",
    "testing-has-memory-stream": "Has pyspark.testing a MemoryStream?",
    "avro-included": "Is the avro format in the PySpark package?",
    "setting-state-retention": "Is spark.sql.streaming.stateRetentionDuration a setting?",
    "setting-adaptive-join": "Is spark.sql.adaptive.join.enabled a setting?",
    "setting-multiple-watermark-policy": "Is spark.sql.streaming.multipleWatermarkPolicy a setting?",
}
"""Name -> question."""


def facts() -> tuple[Probe, ...]:
    """Return every fact as a probe."""
    return tuple(Probe(area=FACTS, operator=name, question=question) for name, question in QUESTIONS.items())
