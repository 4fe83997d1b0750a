"""LJ: lookups of events (input L) in a table of versions (input T): by arrival, and from LJ-09 on by event time."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import VALUE, expr
from semantics.pipeline import AsOf, How, Lookup, Source
from semantics.time import s
from semantics.timeline import Restart


def _latest(how: How = How.INNER) -> Lookup:
    return Lookup(Source("L"), Source("T"), as_of=AsOf.ARRIVAL, how=how, gone=expr(VALUE, "==", 0))


def _valid(how: How = How.INNER, *, delay: float = 0) -> Lookup:
    event, table = Source("L", delay=s(delay)), Source("T", delay=s(delay))
    return Lookup(event, table, as_of=AsOf.EVENT_TIME, how=how, gone=expr(VALUE, "==", 0))


EXPECTATIONS = [
    Expectation(
        "LJ-01",
        "an event meets the version that came last before it, whatever its own time",
        pipeline=_latest(),
        timeline=script("T:a=1@0", "L:a#x@5", "T:a=2@6", "L:a#y@5"),
        demand=after([], ["a#x=1@5"], [], ["a#y=2@5"]),
        because="Enrichment with the current value is fast, and another answer on the next replay.",
    ),
    Expectation(
        "LJ-02",
        "an event that finds nothing comes out at once, with null, and is not mended later",
        pipeline=_latest(How.LEFT),
        timeline=script("L:a@5", "T:a=7@0", "L:a@6"),
        demand=after(["a=~@5"], [], ["a=7@6"]),
        because="A table that is read late turns into nulls that nobody corrects.",
    ),
    Expectation(
        "LJ-03",
        "an inner lookup drops what it does not find, and waits for nothing",
        pipeline=_latest(),
        timeline=script("L:a@5", "T:a=7@0", "L:b@6"),
        demand=after(["state:0"], ["state:1"], ["state:1"]),
        because="A lookup is no join: one side remembers, the other passes by.",
    ),
    Expectation(
        "LJ-04",
        "an older version that arrives later changes nothing",
        pipeline=_latest(),
        timeline=script("T:a=2@10", "T:a=1@5", "L:a@20"),
        demand=after([], [], ["a=2@20"]),
        because="A change feed that is retried must not bring back last year's price.",
    ),
    Expectation(
        "LJ-05",
        "a deleted key is not found, and an older version does not bring it back",
        pipeline=_latest(How.LEFT),
        timeline=script("T:a=1@0", "T:a=0@5", "T:a=9@3", "L:a@20"),
        demand=after([], [], [], ["a=~@20"]),
        because="Who asked to be forgotten must stay so.",
    ),
    Expectation(
        "LJ-06",
        "the table survives the loss of the local disk",
        pipeline=_latest(),
        timeline=script("T:a=7@0 T:a=6@-1 T:b=8@0", Restart(wipe_state=True), "L:a@1 L:b@1"),
        demand=after([], [], ["a=7@1", "b=8@1"]),
        because="A table is state like any other: it must not be read anew from wherever the topic begins today.",
    ),
    Expectation(
        "LJ-07",
        "a null key has no version",
        pipeline=_latest(How.LEFT),
        timeline=script("T:~=7@0", "L:~@1"),
        demand=after(["state:0"], ["~=~@1"]),
        because="What is unknown on both sides is not the same on both.",
    ),
    Expectation(
        "LJ-08",
        "by arrival nothing is late",
        pipeline=_latest(),
        timeline=script("T:a=7@0", "L:a@100", "L:a@1"),
        demand=after([], ["a=7@100"], ["a=7@1", "late:0"]),
        because="Without a clock there is no too late, and no waiting either.",
    ),
    Expectation(
        "LJ-09",
        "an event meets the version that was valid at its time, which the next one ends",
        pipeline=_valid(),
        timeline=script("T:a=1@0 T:a=2@10", "L:a#p@9 L:a#q@10 L:a#r@15", "T:x@20", "L:x@20"),
        demand=after([], ["a#p=1@9"], ["a#q=2@10"], ["a#r=2@15"]),
        because="An order is taxed by the rate of its day: with today's rate the books are wrong on every replay.",
        core=True,
    ),
    Expectation(
        "LJ-10",
        "an event waits as long as a version for its time may come",
        pipeline=_valid(delay=10),
        timeline=script("T:a=1@0", "L:a@12", "T:a=2@11", "T:x@30", "L:x@30"),
        demand=after([], [], [], [], ["a=2@12"]),
        because="Fast and wrong, or a delay later and right: this is the delay.",
    ),
    Expectation(
        "LJ-11",
        "before its first version a key has none",
        pipeline=_valid(How.LEFT),
        timeline=script("T:a=1@10", "L:a@9", "L:x@20", "T:y@20"),
        demand=after([], [], ["a=~@9"], []),
        because="The oldest known value is a guess about the time before it.",
    ),
    Expectation(
        "LJ-12",
        "a version that comes too late is late, and changes nothing",
        pipeline=_valid(),
        timeline=script("T:a=1@0 T:x@20", "L:x@20", "T:a=2@5", "L:a@21", "L:y@30", "T:y@30"),
        demand=after([], [], ["late:1"], [], [], ["x=1@20", "a=1@21"]),
        because="What was answered by the old version would no longer agree with what is answered now.",
    ),
    Expectation(
        "LJ-13",
        "an event that comes too late is dropped, though its version is there; one exactly at the watermark is not",
        pipeline=_valid(How.LEFT),
        timeline=script("T:a=1@0 T:x@20", "L:x@20", "L:a@19.999999", "L:a@20"),
        demand=after([], [], ["late:1"], ["late:0"]),
        because="Whether it is answered must not depend on which versions happen to be left.",
    ),
    Expectation(
        "LJ-14",
        "of the versions that are over only the last is kept",
        pipeline=_valid(),
        timeline=script("T:a=1@0 T:a=2@5 T:a=3@9 T:x@20", "L:y@8", "L:y@20"),
        demand=after(["state:4"], ["state:4"], ["state:3"]),
        because="A table of versions that is never pruned is an archive in memory.",
    ),
    Expectation(
        "LJ-15",
        "a deletion is valid from its own time on",
        pipeline=_valid(How.LEFT),
        timeline=script("T:a=1@0 T:a=0@10", "L:a#p@9 L:a#q@11", "T:x@30", "L:x@30"),
        demand=after([], ["a#p=1@9"], [], ["a#q=~@11"]),
        because="Consent that is withdrawn at ten was given at nine.",
    ),
    Expectation(
        "LJ-16",
        "an event that waits for its version does so across the loss of the disk",
        pipeline=_valid(),
        timeline=script("T:a=7@0", "L:a@5", Restart(wipe_state=True), "T:x@20", "L:x@20"),
        demand=after([], [], [], [], ["a=7@5"]),
        because="Both the question and the answer are state.",
    ),
]
