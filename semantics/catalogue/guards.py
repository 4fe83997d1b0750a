"""WM, from 20 on: late events as dead letters, and the guard against events from the future. The guard is of 60 s."""

from __future__ import annotations

from typing import Any

from semantics.expectation import Expectation, after, script
from semantics.expr import VALUE, expr
from semantics.pipeline import Aggregate, Dedup, Filter, Hopping, How, Join, Source, Tumbling
from semantics.time import s
from semantics.timeline import Restart


def _late(name: str = "in", *, delay: float = 0) -> Source:
    return Source(name, delay=s(delay), late_output=True)


def _count(source: Any) -> Aggregate:
    return Aggregate(source, window=Tumbling(s(5)))


_GUARDED = Source(delay=s(0), future=s(60))

EXPECTATIONS = [
    Expectation(
        "WM-20",
        "where it is asked for, a late event is a dead letter as well",
        pipeline=_count(_late()),
        timeline=script("a@1", "z@5", "a@2 z@6", "y@60"),
        demand=after([], ["a[0,5)=1"], ["late:1", "dead:late"], ["z[5,10)=2"]),
        because="What came too late for this result can be counted by the next: if it is still there.",
        core=True,
    ),
    Expectation(
        "WM-21",
        "each input says for itself whether its late rows are kept",
        pipeline=Join(_late("L"), Source("R", delay=s(0)), lo=s(0), hi=s(5), how=How.LEFT),
        timeline=script("R:y@20", "L:x@20", "L:a@5", "R:a@6"),
        demand=after([], [], ["late:1", "dead:late"], ["late:1", "dead:0"]),
        because="A late order is worth a second look, a late click is not.",
    ),
    Expectation(
        "WM-22",
        "an event that has come in time for one of its windows is neither late nor a dead letter",
        pipeline=Aggregate(_late(), window=Hopping(s(10), s(5))),
        timeline=script("a@7", "z@10", "a@8", "y@60"),
        demand=after([], ["a[0,10)=1"], ["late:0", "dead:0"], ["a[5,15)=2", "z[5,15)=1", "z[10,20)=1"]),
        because="Counted here and replayed there would be counted twice.",
    ),
    Expectation(
        "WM-23",
        "a late event is kept, a repeat is not",
        pipeline=Dedup(_late(delay=10), horizon=s(10)),
        timeline=script("a#x@5", "a#y@20", "a#x@1 a#y@20"),
        demand=after(["a#x@5"], ["a#y@20"], ["late:1", "dup:1", "dead:late"]),
        because="Of a repeat everything is known; of what is late nothing.",
    ),
    Expectation(
        "WM-24",
        "an event from the future is a dead letter, and time goes on without it",
        pipeline=_count(_GUARDED),
        timeline=script("a@1", "x@3000000000", "a@2 a@20"),
        demand=after([], ["dead:future", "wm:1"], ["a[0,5)=2", "late:0"]),
        because="One device with a wrong clock must not silence all others for ninety years.",
    ),
    Expectation(
        "WM-25",
        "an event exactly as far ahead as the guard allows is an event, a microsecond more is not",
        pipeline=_count(_GUARDED),
        timeline=script("a@0", "b@60", "c@120.000001"),
        demand=after([], ["a[0,5)=1", "dead:0", "wm:60"], ["dead:future", "wm:60"]),
        because="The boundary decides after which pause a stream still wakes up.",
    ),
    Expectation(
        "WM-26",
        "within a batch too the guard looks at the event before",
        pipeline=_count(_GUARDED),
        timeline=script("a@0 b@50 c@100", "d@150 e@300 f@160"),
        demand=after(["a[0,5)=1", "b[50,55)=1", "dead:0"], ["c[100,105)=1", "d[150,155)=1", "dead:future", "wm:160"]),
        because="How the input is cut into batches must not decide what is true.",
    ),
    Expectation(
        "WM-27",
        "the first event of all is believed, whatever it says",
        pipeline=_count(_GUARDED),
        timeline=script("x@3000000000", "a@1"),
        demand=after(["dead:0", "wm:3000000000"], ["late:1"]),
        because="A guard without a clock of its own has nothing to compare it with: know its limit.",
    ),
    Expectation(
        "WM-28",
        "after a pause longer than the guard every event is from the future",
        pipeline=_count(_GUARDED),
        timeline=script("a@0", "a@61", "a@62 a@63"),
        demand=after([], ["dead:future", "wm:0"], ["dead:2*future", "wm:0"]),
        because="The guard must be longer than the longest night: all else ends in the dead letters.",
    ),
    Expectation(
        "WM-29",
        "the guard knows after a restart what time it was",
        pipeline=_count(_GUARDED),
        timeline=script("a@1", Restart(), "x@100", "a@10"),
        demand=after([], [], ["dead:future", "wm:1"], ["a[0,5)=1", "dead:0"]),
        because="A poison record is replayed exactly when something restarts.",
    ),
    Expectation(
        "WM-30",
        "each partition has its own guard, as it has its own clock",
        pipeline=_count(_GUARDED),
        timeline=script("a@0", "b@1000/1", "b@1001/1 a@100"),
        demand=after(["dead:0"], ["dead:0"], ["dead:future", "wm:0"]),
        because="A partition that is ahead of another one is no mistake.",
    ),
    Expectation(
        "WM-31",
        "an event that a filter removes has shown what time it is",
        pipeline=_count(Filter(_GUARDED, expr(VALUE, ">", 0))),
        timeline=script("a@0", "b=0@50", "a@100", "a=0@200"),
        demand=after([], ["a[0,5)=1", "dead:0"], ["dead:0"], ["dead:future"]),
        because="Guard and clock stand at the source, before anyone asks what is of interest.",
    ),
]
