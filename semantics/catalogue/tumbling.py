"""TW: tumbling and hopping windows. A hopping one is of 10 s every 5 s, unless said."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import ID, VALUE, expr
from semantics.pipeline import Aggregate, Emit, Function, Hopping, KeyBy, Select, Source, Tumbling
from semantics.time import s

_COUNT = Aggregate(Source(delay=s(10)), window=Tumbling(s(5)))
_HOP = Aggregate(Source(delay=s(0)), window=Hopping(s(10), s(5)))
_GRACE = Aggregate(Source(delay=s(0)), window=Tumbling(s(10), grace=s(5)))
_UPDATES = Aggregate(Source(delay=s(0)), window=Tumbling(s(10)), emit=Emit.UPDATE)
_EXTREMES = Aggregate(Source(delay=s(20)), (Function.MIN, Function.MAX), window=Tumbling(s(10)))

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
    Expectation(
        "TW-07",
        "an event counts in every hopping window that holds it",
        pipeline=_HOP,
        timeline=script("a@7", "a@12", "a@30"),
        demand=after([], ["a[0,10)=1"], ["a[5,15)=2", "a[10,20)=1"]),
        because="A moving average that misses a window is too low, and looks like a quiet moment.",
        core=True,
    ),
    Expectation(
        "TW-08",
        "an event that is late for one of its windows counts in the others, and is not late",
        pipeline=_HOP,
        timeline=script("a@7", "z@10", "a@8", "y@60"),
        demand=after([], ["a[0,10)=1"], ["late:0"], ["a[5,15)=2", "z[5,15)=1", "z[10,20)=1"]),
        because="All or nothing would either reopen a final window or lose an event that has its place.",
        core=True,
    ),
    Expectation(
        "TW-09",
        "an event that is late for all its windows is late once",
        pipeline=_HOP,
        timeline=script("z@100", "a@1 a@6"),
        demand=after([], ["late:2"]),
        because="Two events were lost, however many windows they would have been in.",
    ),
    Expectation(
        "TW-10",
        "hopping windows whose slide does not divide their size start at multiples of the slide",
        pipeline=Aggregate(Source(delay=s(0)), window=Hopping(s(10), s(4))),
        timeline=script("a@9", "z@60"),
        demand=after([], ["a[0,10)=1", "a[4,14)=1", "a[8,18)=1"]),
        because="Engines that cut windows into slices like this case least.",
    ),
    Expectation(
        "TW-11",
        "a hopping window costs a row of state for each window that an event is in",
        pipeline=Aggregate(Source(delay=s(0)), window=Hopping(s(30), s(10))),
        timeline=script("a@12 a@13", "z@60"),
        demand=after(["state:3"], ["a[-10,20)=2", "a[0,30)=2", "a[10,40)=2", "state:3"]),
        because="An hour that hops by the minute is sixty times the state of an hour.",
    ),
    Expectation(
        "TW-12",
        "an offset moves all windows",
        pipeline=Aggregate(Source(delay=s(20)), window=Tumbling(s(10), offset=s(3))),
        timeline=script("a@2 a@3 a@12 a@13", "z@60"),
        demand=after([], ["a[-7,3)=1", "a[3,13)=2", "a[13,23)=1"]),
        because="Shifts start at six and books close at five: windows must follow them.",
        core=True,
    ),
    Expectation(
        "TW-13",
        "an offset moves hopping windows as well",
        pipeline=Aggregate(Source(delay=s(20)), window=Hopping(s(10), s(5), offset=s(2))),
        timeline=script("a@1 a@2", "z@60"),
        demand=after([], ["a[-8,2)=1", "a[-3,7)=2", "a[2,12)=1"]),
        because="An event on a moved boundary shows which windows really exist.",
    ),
    Expectation(
        "TW-14",
        "a window takes events for its grace after its end",
        pipeline=_GRACE,
        timeline=script("a@1", "z@14.999999", "a@2", "z@15"),
        demand=after([], [], [], ["a[0,10)=2"]),
        because="Grace is patience for one operator; delay is patience for all.",
        core=True,
    ),
    Expectation(
        "TW-15",
        "when its grace is over a window is final, and an event for it late",
        pipeline=_GRACE,
        timeline=script("a@1", "z@15", "a@2", "y@60"),
        demand=after([], ["a[0,10)=1"], ["late:1"], ["z[10,20)=1"]),
        because="The row comes out when nothing can change it any more: grace costs latency, always.",
    ),
    Expectation(
        "TW-16",
        "the lowest and the highest of a window are those of its own events",
        pipeline=_EXTREMES,
        timeline=script("a=5@1 a=-3@2 a=9@3 b=-4@4 a=70@11", "z@60"),
        demand=after([], ["a[0,10){min=-3 max=9}", "b[0,10){min=-4 max=-4}", "a[10,20){min=70 max=70}"]),
        because="Limits are watched by extremes.",
        core=True,
    ),
    Expectation(
        "TW-17",
        "a window that speaks in updates says what has changed, and nothing when it closes",
        pipeline=_UPDATES,
        timeline=script("a@1", "a@2 b@3", "z@15"),
        demand=after(["a[0,10)=1"], ["a[0,10)=2", "b[0,10)=1"], ["z[10,20)=1"]),
        because="A dashboard wants today's figure now, and no repetition of yesterday's.",
        core=True,
    ),
    Expectation(
        "TW-18",
        "a window that is final has no more updates",
        pipeline=_UPDATES,
        timeline=script("a@1", "z@10", "a@2"),
        demand=after(["a[0,10)=1"], ["z[10,20)=1"], ["late:1"]),
        because="Who speaks early is not free to change his mind for ever: the state is gone.",
    ),
    Expectation(
        "TW-19",
        "windows without a clock are never late, and never forgotten",
        pipeline=Aggregate(Source(), window=Tumbling(s(10)), emit=Emit.UPDATE),
        timeline=script("a@100", "a@1", "a@2"),
        demand=after(["a[100,110)=1", "state:1"], ["a[0,10)=1", "state:2"], ["a[0,10)=2", "late:0", "state:2"]),
        because="Everything counts, and everything stays: choose this only for keys and times that end.",
    ),
    Expectation(
        "TW-20",
        "before 1970 windows start at multiples of their size too",
        pipeline=Aggregate(Source(delay=s(0)), window=Tumbling(s(10))),
        timeline=script("a@-1814399997", "z@-1814399000"),
        demand=after([], ["a[-1814400000,-1814399990)=1"]),
        because="Rounding towards zero makes the first window before 1970 twice as long, and misplaces all others.",
    ),
    Expectation(
        "TW-21",
        "a day's window is a day of UTC, wherever the engine runs",
        pipeline=Aggregate(Source(delay=s(10)), window=Tumbling(s(86_400))),
        timeline=script("a@-0.000001 a@0 a@86399.999999", "z@+2d"),
        demand=after(["a[-86400,0)=1"], ["a[0,86400)=2"]),
        because="A host's time zone must not decide which day a sale belongs to.",
    ),
]
