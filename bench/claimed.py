"""What is commonly said of streaming engines, topic by topic, and what decides each claim. See `bench/claims.py`.

A claim is in our words, and says what is said, not what is so: most are wrong, and that is found out, not typed in.
"""

from __future__ import annotations

from bench.claims import Asked, Claim, Evidence, Played
from semantics.verdict import Value


def both(id: str, wrong_if: Value = Value.HOLDS) -> tuple[Evidence, ...]:
    """Return an expectation on Spark and on Faust."""
    return Played("spark", id, wrong_if), Played("faust", id, wrong_if)


def said_no(*names: str) -> tuple[Evidence, ...]:
    """Return probes of Spark; the claim is wrong if the answer is no."""
    return tuple(Asked("spark", name, wrong_if=False) for name in names)


def said_yes(*names: str) -> tuple[Evidence, ...]:
    """Return probes of Spark; the claim is wrong if the answer is yes."""
    return tuple(Asked("spark", name, wrong_if=True) for name in names)


def sink(*ids: str) -> tuple[Evidence, ...]:
    """Return expectations on Spark that are wrong where its sink repeats."""
    return tuple(Played("spark", id, Value.DEVIATES, rule="sink") for id in ids)


CLAIMS: dict[str, tuple[Claim, ...]] = {
    "Exactly once and restarts": (
        Claim(
            "EO-a",
            "Spark's Kafka sink writes in transactions: what a read_committed consumer sees is exactly once.",
            "courses, interview questions, posts about exactly-once",
            sink("EO-01", "EO-03", "EO-05", "EO-06"),
        ),
        Claim(
            "EO-b",
            "Output and checkpoint of a batch are committed together.",
            "introductions to checkpoints",
            sink("EO-01", "EO-06"),
        ),
        Claim(
            "EO-c", "Exactly once also removes what a producer sent twice.", "posts about exactly-once", both("EO-13")
        ),
        Claim(
            "EO-d",
            "A batch id, once written, guards a sink against a batch that comes again, for ever.",
            "recipes for foreachBatch",
            said_yes("fact/batch-ids-restart"),
        ),
        Claim(
            "EO-e",
            "stop() lets the running batch come to its end.",
            "deployment checklists",
            said_no("fact/stop-waits"),
        ),
        Claim(
            "EO-f",
            "A query under another name reads its input again.",
            "deployment checklists",
            said_no("fact/name-change-reprocesses"),
        ),
        Claim(
            "EO-g",
            "A stateful query without a checkpoint location is refused.",
            "introductions to checkpoints",
            said_no("fact/checkpoint-location-required"),
        ),
        Claim(
            "EO-h",
            "A checkpoint has folders for progress and for sinks.",
            "introductions to checkpoints",
            said_no("fact/checkpoint-has-progress"),
        ),
        Claim(
            "EO-i",
            "Two runs of one session on one checkpoint go on side by side and corrupt it.",
            "deployment checklists",
            said_yes("fact/second-run-stops-first"),
        ),
    ),
    "Watermarks and lateness": (
        Claim(
            "WM-a",
            "A window closes one delay after the watermark has reached its end.",
            "introductions to watermarks, which count the delay twice",
            both("WM-02"),
        ),
        Claim(
            "WM-b",
            "An event behind the watermark is dropped, whatever window it is in.",
            "introductions to watermarks",
            both("WM-04"),
        ),
        Claim("WM-c", "Watermarks never hold output back.", "introductions to watermarks", both("WM-02")),
        Claim(
            "WM-d",
            "Each partition has a clock of its own, so one that lags loses nothing.",
            "texts that carry another engine's watermarks over",
            both("WM-09", Value.DEVIATES),
        ),
        Claim(
            "WM-e",
            "Each side of a join forgets by its own watermark, however far behind the other side is.",
            "posts about joins",
            both("SSJ-06"),
        ),
        Claim(
            "WM-f",
            "A late row of a join still matches while its partner is kept.",
            "posts about joins",
            (*both("SSJ-07"), *both("SSJ-15")),
        ),
        Claim(
            "WM-g",
            "The counter of rows dropped by the watermark counts late events.",
            "monitoring guides",
            both("TW-08", Value.DEVIATES),
        ),
        Claim(
            "WM-h",
            "Complete mode drops late events.",
            "introductions to output modes",
            said_no("fact/complete-drops-late"),
        ),
        Claim(
            "WM-i",
            "An event time that a user's function made cannot carry a watermark.",
            "posts about event time",
            said_no("fact/udf-time-stops-watermark"),
        ),
    ),
    "Sessions": (
        Claim(
            "SW-a",
            "A session is final one delay after the watermark has reached its end.",
            "posts about sessions",
            both("SW-05"),
        ),
        Claim("SW-b", "Events exactly one gap apart are two sessions.", "posts about sessions", both("SW-02")),
        Claim("SW-c", "A key has one open session at a time.", "hand-written session functions", both("SW-19")),
        Claim(
            "SW-d",
            "An out-of-order event never moves a session's start.",
            "hand-written session functions",
            both("SW-06"),
        ),
    ),
    "Deduplication": (
        Claim(
            "DD-a",
            "dropDuplicates on an id behind a watermark has bounded state.",
            "tutorials",
            said_no("fact/dedup-by-id-forgets"),
        ),
        Claim(
            "DD-b",
            "withWatermark may as well stand behind dropDuplicates.",
            "copied snippets",
            said_no("fact/dedup-before-watermark-forgets"),
        ),
        Claim(
            "DD-c",
            "An id that comes too late is taken for a new one.",
            "posts about deduplication",
            (*said_no("fact/dedup-passes-late-id"), *both("DD-09")),
        ),
        Claim(
            "DD-d",
            "dropDuplicates needs columns on a stream.",
            "posts about deduplication; the guide says it of distinct",
            said_yes("dedup/distinct/watermark/append"),
        ),
        Claim(
            "DD-e",
            "dropDuplicates inside foreachBatch knows what earlier batches had.",
            "recipes for foreachBatch",
            said_no("fact/dedup-in-foreach-batch-remembers"),
        ),
    ),
    "Joins": (
        Claim(
            "SSJ-a",
            "Outer joins of streams can run in update or complete mode.",
            "comparisons of output modes",
            said_no(
                "join/left_outer/range/both/update",
                "join/left_outer/range/both/complete",
                "join/right_outer/range/both/update",
                "join/full_outer/range/both/update",
            ),
        ),
        Claim(
            "SSJ-b",
            "Joins of streams run in append mode alone.",
            "the guide itself",
            said_yes("join/inner/range/both/update", "join/left_semi/range/both/update"),
        ),
        Claim(
            "SSJ-c",
            "An inner join of streams needs watermarks and a time bound to start.",
            "posts about joins",
            said_yes("join/inner/equality/no-watermark/append"),
        ),
        Claim(
            "SSJ-d",
            "A full outer join needs watermarks on both sides to start.",
            "posts about joins",
            said_yes("join/full_outer/range/left/append", "join/full_outer/range/right/append"),
        ),
        Claim(
            "SSJ-e",
            "A stream joins a table by every type of join.",
            "posts about enrichment",
            said_no("static/right_outer/stream-and-table/append", "static/full_outer/stream-and-table/append"),
        ),
        Claim(
            "SSJ-f",
            "An unmatched row comes out at once and is taken back when its match comes.",
            "comparisons of output modes",
            (*both("SSJ-04"), *both("SSJ-05")),
        ),
    ),
    "State": (
        Claim(
            "ST-a",
            "More shuffle partitions after a restart spread the state.",
            "tuning guides",
            said_no("fact/shuffle-partitions-change"),
        ),
        Claim(
            "ST-b",
            "A change of window length or of the aggregate is refused on the old checkpoint.",
            "upgrade guides",
            said_no("fact/window-length-change-refused", "fact/aggregate-swap-refused"),
        ),
        Claim(
            "ST-c",
            "One more aggregate is a harmless change.",
            "upgrade guides",
            said_yes("fact/aggregate-added-refused"),
        ),
        Claim(
            "ST-d",
            "Another name for a result column breaks the old checkpoint.",
            "upgrade guides",
            said_no("fact/column-rename-refused"),
        ),
        Claim(
            "ST-e",
            "State has a retention setting, spark.sql.streaming.stateRetentionDuration.",
            "tuning guides",
            said_no("fact/setting-state-retention"),
        ),
        Claim(
            "ST-f",
            "Adaptive execution evens out skew in stateful streams.",
            "tuning guides",
            said_no("fact/adaptive-stateful"),
        ),
        Claim(
            "ST-g",
            "Adaptive execution never touches a stream.",
            "older tuning guides",
            said_yes("fact/adaptive-stateless"),
        ),
        Claim(
            "ST-h",
            "spark.sql.adaptive.join.enabled tunes joins.",
            "tuning guides",
            said_no("fact/setting-adaptive-join"),
        ),
        Claim(
            "ST-i",
            "Salted keys are summed up by a second aggregation in the same query, in update or complete mode.",
            "tuning guides",
            said_no("chain/key-count-then-key-count/no-watermark/update", "chain/window-then-window/watermark/update"),
        ),
        Claim(
            "ST-j",
            "A stream cannot aggregate what it has aggregated.",
            "older guides",
            said_yes("chain/window-then-window/watermark/append"),
        ),
    ),
    "Triggers": (
        Claim(
            "TR-a",
            "The once trigger gives out all that its input completes.",
            "recipes for backfills",
            said_no("fact/once-closes-windows"),
        ),
        Claim(
            "TR-e",
            "The once trigger reads in batches of the limit that is set.",
            "recipes for backfills",
            said_no("fact/once-keeps-rate-limit"),
        ),
        Claim(
            "TR-b",
            "Continuous mode is the way to low latency, for aggregations and deduplication too.",
            "comparisons of engines",
            said_no("trigger/continuous/by-key/update", "trigger/continuous/dropDuplicates-key/append"),
        ),
        Claim(
            "TR-c",
            "Structured Streaming has micro-batches and continuous mode, and nothing else.",
            "comparisons of engines",
            said_yes("trigger/realTime/pass/update"),
        ),
        Claim(
            "TR-d",
            "The real-time trigger runs any query.",
            "comparisons of engines",
            said_no("trigger/realTime/by-key/update", "trigger/realTime/pass/append"),
        ),
    ),
    "Names and metrics": (
        Claim(
            "API-a",
            "PySpark has mapGroupsWithState and flatMapGroupsWithState.",
            "courses",
            said_no("fact/python-has-map-groups", "fact/python-has-flat-map-groups"),
        ),
        Claim(
            "API-b",
            "Custom state with timers is for Scala and Java alone.",
            "older guides",
            said_yes("fact/python-has-transform-with-state"),
        ),
        Claim(
            "API-c",
            "pyspark.testing has a MemoryStream.",
            "posts about tests",
            said_no("fact/testing-has-memory-stream"),
        ),
        Claim(
            "API-d",
            "A query reports its scheduling and total delay.",
            "monitoring guides, from the older DStreams",
            said_no("fact/progress-has-scheduling-delay"),
        ),
        Claim(
            "API-e",
            "A query reports an observedWatermark.",
            "monitoring guides",
            said_no("fact/progress-has-observed-watermark"),
        ),
        Claim("API-f", "PySpark reads Avro as it comes.", "courses", said_no("fact/avro-included")),
    ),
    "Records and values": (
        Claim(
            "SCH-a",
            "from_json gives null for malformed text, so a filter on null finds it.",
            "recipes for dead letters",
            said_no("fact/malformed-json-is-null"),
        ),
        Claim(
            "SCH-b",
            "Malformed text stands in _corrupt_record by itself.",
            "recipes for dead letters",
            said_no("fact/corrupt-column-by-itself"),
        ),
        Claim(
            "SCH-c",
            "from_json can drop malformed records (DROPMALFORMED).",
            "recipes for dead letters",
            said_no("fact/from-json-dropmalformed"),
        ),
        Claim(
            "SCH-d",
            "A cast that fails gives null.",
            "everything written before Spark 4",
            said_no("fact/bad-cast-is-null"),
        ),
        Claim(
            "SCH-e",
            "from_unixtime makes times of epoch milliseconds.",
            "copied snippets",
            said_no("fact/from-unixtime-keeps-millis"),
        ),
        Claim(
            "SCH-f",
            "slice() cuts a schema id off an Avro record.",
            "copied snippets",
            said_no("fact/slice-takes-binary"),
        ),
        Claim(
            "SCH-g",
            "A filter and its negation cover all rows.",
            "recipes for dead letters",
            said_no("fact/filters-cover-all"),
        ),
        Claim(
            "SCH-h",
            "A record that cannot be parsed leaves running counts alone.",
            "recipes for dead letters",
            both("SCH-11", Value.DEVIATES),
        ),
    ),
}
"""Topic -> what is said of it."""
