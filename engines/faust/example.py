"""Visits a minute, exactly once: a program of one's own on this engine.

    WEIR_BROKER=localhost:9092 faust -A engines.faust.example worker --without-web

Reads JSON events {"k": page, "i": id, "v": 1, "t": microseconds since 1970} from `clicks`, and writes to
`visits` one final row a page and minute.
"""

import os
from datetime import timedelta

from engines.faust import library
from semantics.pipeline import Aggregate, Source, Tumbling

app = library.app(
    "visits",
    Aggregate(Source(delay=timedelta(seconds=5)), window=Tumbling(timedelta(minutes=1))),
    inputs={"in": "clicks"},
    output="visits",
    dead_letters="clicks-unusable",
    partitions=int(os.environ.get("WEIR_PARTITIONS", "4")),
    broker=os.environ.get("WEIR_BROKER", "localhost:9092"),
    state_dir=os.environ.get("WEIR_STATE", "weir-state"),
)
