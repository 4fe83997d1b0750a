"""DD: deduplication by (key, id). The horizon is the delay throughout, 10 s: the longest that all engines offer."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import ID
from semantics.pipeline import Dedup, KeyBy, Source
from semantics.time import s
from semantics.timeline import Restart

_SOURCE = Source(delay=s(10))
_DEDUP = Dedup(_SOURCE, horizon=s(10))

EXPECTATIONS = [
    Expectation(
        "DD-01",
        "a repeat within the horizon is held back, and counted",
        pipeline=_DEDUP,
        timeline=script("a#x@0", "a#x@3"),
        demand=after(["a#x@0"], ["dup:1"]),
        because="Every producer that retries sends some events twice.",
        core=True,
    ),
    Expectation(
        "DD-02",
        "the first to arrive passes, not the first in time",
        pipeline=_DEDUP,
        timeline=script("a#x@5 a#x@3", "a#x@1"),
        demand=after(["a#x@5", "dup:1"], ["dup:1"]),
        because="To pass the earliest, one would have to wait out the horizon with every event.",
        core=True,
    ),
    Expectation(
        "DD-03",
        "after the horizon an id is new again",
        pipeline=_DEDUP,
        timeline=script("a#x@0", "a#y@100", "a#x@101"),
        demand=after(["a#x@0"], ["a#y@100", "state:1"], ["a#x@101", "state:2"]),
        because="A memory without end is a leak; one that ends lets very old repeats through. Know which you have.",
        core=True,
    ),
    Expectation(
        "DD-04",
        "a copy that comes too late is late, not a repeat",
        pipeline=_DEDUP,
        timeline=script("a#x@5", "a#y@20", "a#x@1"),
        demand=after(["a#x@5"], ["a#y@20"], ["late:1", "dup:0"]),
        because="Late and repeated have different causes, and different people to call.",
        core=True,
    ),
    Expectation(
        "DD-05",
        "an id is still known while the watermark stands exactly at its horizon",
        pipeline=_DEDUP,
        timeline=script("a#x@0", "a#y@20", "a#x@15"),
        demand=after(["a#x@0"], ["a#y@20"], ["dup:1"]),
        because="The boundary decides whether a retry after exactly the promised time comes through.",
    ),
    Expectation(
        "DD-06",
        "state is one row for each id until the watermark is past its horizon, and no longer",
        pipeline=_DEDUP,
        timeline=script("a#x@0 a#y@1 b#x@2", "c#z@20", "c#w@22.001"),
        demand=after(["a#x@0", "a#y@1", "b#x@2", "state:3"], ["c#z@20", "state:4"], ["c#w@22.001", "state:2"]),
        because="Ids never come again: without forgetting, state grows with every event for ever.",
        core=True,
    ),
    Expectation(
        "DD-07",
        "repeats do not prolong the time for which an id is known",
        pipeline=_DEDUP,
        timeline=script("a#x@0", "a#x@9", "a#y@20.001", "a#x@12"),
        demand=after(["a#x@0"], ["dup:1"], ["a#y@20.001"], ["a#x@12"]),
        because="Otherwise a device stuck in a retry loop is silenced for ever.",
        core=True,
    ),
    Expectation(
        "DD-08",
        "an event exactly at the watermark is not late",
        pipeline=_DEDUP,
        timeline=script("a#x@20", "a#y@10"),
        demand=after(["a#x@20"], ["a#y@10", "late:0"]),
        because="An event that is exactly as late as was allowed must come through.",
    ),
    Expectation(
        "DD-09",
        "an event that was never seen is dropped if it is late",
        pipeline=_DEDUP,
        timeline=script("a#x@0", "a#y@100", "a#z@50"),
        demand=after(["a#x@0"], ["a#y@100"], ["late:1", "dup:0"]),
        because="Deduplication by the watermark is not free of loss: whoever expects that loses late originals.",
    ),
    Expectation(
        "DD-10",
        "an id is known across a restart",
        pipeline=_DEDUP,
        timeline=script("a#x@0", Restart(), "a#x@3"),
        demand=after(["a#x@0"], [], ["dup:1"]),
        because="Producers retry exactly when something restarts.",
    ),
    Expectation(
        "DD-11",
        "what was seen before a restart is forgotten on time after it",
        pipeline=_DEDUP,
        timeline=script("a#x@0", Restart(), "a#y@20.001", "a#x@12"),
        demand=after(["a#x@0"], [], ["a#y@20.001", "state:1"], ["a#x@12"]),
        because="State that a restart turns immortal is found months later.",
    ),
    Expectation(
        "DD-12",
        "a storm of retries comes down to one of each",
        pipeline=_DEDUP,
        timeline=script("a#x@0 a#x@0 a#y@1 a#x@1 a#y@1 b#x@1", "a#x@2 a#y@2 b#x@2"),
        demand=after(["a#x@0", "a#y@1", "b#x@1", "dup:3"], ["dup:3"]),
        because="Repeats come in bursts, many within one batch.",
    ),
    Expectation(
        "DD-13",
        "behind a new key, copies from different partitions meet",
        pipeline=Dedup(KeyBy(_SOURCE, ID), horizon=s(10)),
        timeline=script("a#x@0", "b#x@1/1"),
        demand=after(["x#x@0"], ["dup:1"]),
        because="Two gateways forward the same message: only what is keyed by its id can see that.",
    ),
    Expectation(
        "DD-14",
        "within a batch too, an id is forgotten when its horizon has passed",
        pipeline=_DEDUP,
        timeline=script("a#x@0 a#y@100 a#x@101"),
        demand=after(["a#x@0", "a#y@100", "a#x@101", "dup:0"]),
        because="How the input is cut into batches must not change what comes out.",
    ),
    Expectation(
        "DD-15",
        "an event without event time is a dead letter, and its id is not known by it",
        pipeline=_DEDUP,
        timeline=script("a#x@~", "a#x@1"),
        demand=after(["dead:no_time", "state:0"], ["a#x@1", "dup:0"]),
        because="A broken copy must not keep the good one out.",
    ),
]
