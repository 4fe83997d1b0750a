"""TW: tumbling windows."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import ID, VALUE, expr
from semantics.pipeline import Aggregate, Function, KeyBy, Select, Source, Tumbling
from semantics.time import s

_COUNT = Aggregate(Source(delay=s(10)), window=Tumbling(s(5)))

EXPECTATIONS = [
    Expectation(
        "TW-01",
        "windows are half-open: the end belongs to the next one",
        pipeline=_COUNT,
        timeline=script("a@4.999999 a@5", "z@60"),
        demand=after([], ["a[0,5)=1", "a[5,10)=1"]),
        because="An event on the boundary must be counted once, not twice and not never.",
        core=True,
    ),
    Expectation(
        "TW-02",
        "windows without events do not exist",
        pipeline=_COUNT,
        timeline=script("a@1", "a@61", "z@100"),
        demand=after([], ["a[0,5)=1"], ["a[60,65)=1"]),
        because="Zero rows for quiet periods are a job for whoever reads the result.",
    ),
    Expectation(
        "TW-03",
        "windows that close together all come out, each once",
        pipeline=Aggregate(Source(delay=s(10)), (Function.COUNT, Function.SUM), window=Tumbling(s(5))),
        timeline=script("a=2@1 b=3@2 a=4@6 a=-5@1 b=7@12", "z@60"),
        demand=after([], ["a[0,5){n=2 sum=-3}", "b[0,5){n=1 sum=3}", "a[5,10){n=1 sum=4}", "b[10,15){n=1 sum=7}"]),
        because="After a pause or a backfill many windows are due at once.",
        core=True,
    ),
    Expectation(
        "TW-04",
        "a null key is a group of its own",
        pipeline=_COUNT,
        timeline=script("~@1 ~@2 a@3", "z@60"),
        demand=after([], ["~[0,5)=2", "a[0,5)=1"]),
        because="Dropping rows without a key makes totals wrong without a trace.",
    ),
    Expectation(
        "TW-05",
        "what follows a new key is grouped by it",
        pipeline=Aggregate(KeyBy(Source(delay=s(0)), ID), window=Tumbling(s(10))),
        timeline=script("a#x@1 b#x@2 b#y@3", "c#z@60"),
        demand=after([], ["x[0,10)=2", "y[0,10)=1"]),
        because="Re-keying is where data meets that came in on different keys.",
    ),
    Expectation(
        "TW-06",
        "an aggregate sees the value that a select before it made",
        pipeline=Aggregate(Select(Source(delay=s(0)), expr(VALUE, "*", 3)), (Function.SUM,), window=Tumbling(s(10))),
        timeline=script("a=2@1 a=5@9", "z@60"),
        demand=after([], ["a[0,10)=21"]),
        because="The simplest pipeline of all, end to end.",
    ),
]
