"""WM: what a watermark is, when it closes a window, and what is late."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import VALUE, expr
from semantics.pipeline import Aggregate, Filter, Source, Tumbling, Union
from semantics.time import s
from semantics.timeline import Flush, Idle, Restart


def _count(delay: float, size: float) -> Aggregate:
    return Aggregate(Source(delay=s(delay)), window=Tumbling(s(size)))


_SILENCE = s(3)
"""Longer than any step of a script takes, so that nobody falls silent before it is asked for."""
_BOTH = Aggregate(
    Union((Source("L", delay=s(0), idle_after=_SILENCE), Source("R", delay=s(0), idle_after=_SILENCE))),
    window=Tumbling(s(10)),
)

EXPECTATIONS = [
    Expectation(
        "WM-01",
        "the watermark is the highest event time seen minus the delay, and never falls",
        pipeline=_count(delay=10, size=5),
        timeline=script("a@20", "a@3", "a@25"),
        demand=after(["wm:10"], ["wm:10"], ["wm:15"]),
        because="A clock that can fall reopens results that were already acted on.",
        core=True,
    ),
    Expectation(
        "WM-02",
        "a window is final once the watermark reaches its end, and not a microsecond before",
        pipeline=_count(delay=10, size=5),
        timeline=script("a@1 a@4", "a@14.999999", "a@15"),
        demand=after([], [], ["a[0,5)=2"]),
        because="The delay is inside the watermark: [0,5) with delay 10 closes at 15, not at 25, as is often written.",
        core=True,
    ),
    Expectation(
        "WM-03",
        "an event for a closed window is dropped, and the result does not come out again",
        pipeline=_count(delay=10, size=5),
        timeline=script("a@1 a@4", "a@15", "a@2", "a@30"),
        demand=after([], ["a[0,5)=2"], [], ["a[15,20)=1"]),
        because="A final result that comes twice is booked twice.",
        core=True,
    ),
    Expectation(
        "WM-04",
        "an event behind the watermark counts as long as its window is open",
        pipeline=_count(delay=0, size=10),
        timeline=script("a@8", "a@3", "a@10"),
        demand=after([], [], ["a[0,10)=2"]),
        because="Late is judged by the window's end, not by the event's time: whoever filters by time loses good data.",
        core=True,
    ),
    Expectation(
        "WM-05",
        "events later than the watermark allows are counted one by one",
        pipeline=_count(delay=0, size=10),
        timeline=script("z@100", "a@1 a@2 a@3 b@4"),
        demand=after([], ["late:4"]),
        because="A count of dropped events that is not the number of dropped events cannot be alarmed on.",
    ),
    Expectation(
        "WM-06",
        "late events of several windows are each counted",
        pipeline=_count(delay=0, size=10),
        timeline=script("z@100", "a@1 a@2 a@11 a@12"),
        demand=after([], ["late:4"]),
        because="The figure must not depend on how late events spread over keys and windows.",
    ),
    Expectation(
        "WM-07",
        "an event is judged by all events before it, those of its own batch included",
        pipeline=_count(delay=10, size=5),
        timeline=script("a@100 a@1", "z@200"),
        demand=after([], ["a[100,105)=1"]),
        because="If lateness depends on how input is cut into batches, a replay answers otherwise than the live run.",
        core=True,
    ),
    Expectation(
        "WM-08",
        "without input time stands still: a window stays open until an event moves the watermark",
        pipeline=_count(delay=0, size=10),
        timeline=script("a@1", Idle(_SILENCE), "z@60"),
        demand=after([], ["wm:1"], ["a[0,10)=1"]),
        because="The last window of a quiet stream never closes by itself: plan for heartbeats.",
        core=True,
    ),
    Expectation(
        "WM-09",
        "a partition that lags loses nothing because another one is ahead",
        pipeline=_count(delay=10, size=10),
        timeline=script("a@100/0", "b@5/1", Flush(300_000_000)),
        demand=after([], [], ["a[100,110)=1", "b[0,10)=1"]),
        because="One clock over all partitions silently drops the data of whichever partition is read last.",
        core=True,
    ),
    Expectation(
        "WM-10",
        "a partition that lags by more than the delay loses none of several events",
        pipeline=_count(delay=0, size=10),
        timeline=script("a@50/0", "b@10/1 b@15/1", Flush(300_000_000)),
        demand=after([], [], ["a[50,60)=1", "b[10,20)=2"]),
        because="Partitions are read at different speeds after every restart, rebalance and backfill.",
    ),
    Expectation(
        "WM-11",
        "one event from the future closes all windows before it",
        pipeline=_count(delay=10, size=10),
        timeline=script("a@1", "x@+1d", "a@2 a@20"),
        demand=after([], ["a[0,10)=1"], ["late:2"]),
        because="One device with a wrong clock silences everybody: the source needs a guard (WM-24).",
    ),
    Expectation(
        "WM-12",
        "an event without event time goes to the dead letters, and is counted",
        pipeline=_count(delay=0, size=10),
        timeline=script("a@1 a@~", "z@60"),
        demand=after(["dead:no_time"], ["a[0,10)=1"]),
        because="A record that vanishes without a trace is found by the auditor, not by you.",
        core=True,
    ),
    Expectation(
        "WM-13",
        "nulls among several event times: the good ones count, each bad one is a dead letter",
        pipeline=_count(delay=0, size=10),
        timeline=script("a@~ a@1 b@~ a@2", "z@60"),
        demand=after(["dead:2*no_time"], ["a[0,10)=2"]),
        because="In = accepted + late + dead letters: the account must close.",
    ),
    Expectation(
        "WM-14",
        "the watermark survives a restart",
        pipeline=_count(delay=0, size=10),
        timeline=script("a@5", "a@100", Restart(), "a@6", "z@200"),
        demand=after([], ["a[0,10)=1"], [], [], ["a[100,110)=1"]),
        because="A clock that starts anew reopens closed windows and emits them a second time, with other numbers.",
    ),
    Expectation(
        "WM-15",
        "events before 1970 are events like all others",
        pipeline=_count(delay=0, size=10),
        timeline=script("a@-21000d", "z@-20999d"),
        demand=after([], ["a[-1814400000,-1814399990)=1"]),
        because="Birth dates, historic measurements and test data are older than Unix.",
    ),
    Expectation(
        "WM-16",
        "a stream that starts before 1970 runs on across it",
        pipeline=_count(delay=0, size=10),
        timeline=script("a@-20455d", "b@-20453d", "z@1"),
        demand=after([], ["a[-1767312000,-1767311990)=1"], ["b[-1767139200,-1767139190)=1"]),
        because="A clock that starts at zero instead of before all makes everything earlier late.",
    ),
    Expectation(
        "WM-17",
        "an event that a filter behind the clock removes still moves the clock",
        pipeline=Aggregate(Filter(Source(delay=s(0)), expr(VALUE, ">", 1)), window=Tumbling(s(10))),
        timeline=script("a=5@1", "b=1@60"),
        demand=after([], ["a[0,10)=1"]),
        because="Whether a filter stops time decides whether a rare-event alert ever fires.",
        core=True,
    ),
    Expectation(
        "WM-18",
        "a filtered event in another key still makes later ones late",
        pipeline=Aggregate(Filter(Source(delay=s(0)), expr(VALUE, ">", 1)), window=Tumbling(s(10))),
        timeline=script("a=5@1", "b=0@100", "a=7@2", "c=5@200"),
        demand=after([], ["a[0,10)=1"], [], []),
        because="The optimizer must not change which events are late.",
    ),
    Expectation(
        "WM-19",
        "an event is judged by its own partition's clock: a slower partition holds nothing open",
        pipeline=_count(delay=0, size=10),
        timeline=script("b@5/1", "a@100/0", "a@1/0", Flush(300_000_000)),
        demand=after([], [], ["late:1"], ["a[100,110)=1", "b[0,10)=1"]),
        because="If one partition's pace decides what is late in another, the same data counts on some days only.",
    ),
    Expectation(
        "WM-40",
        "an input that has fallen silent is left out: time goes on with the others",
        pipeline=_BOTH,
        timeline=script("L:a@1 R:a@2", "L:a@30", Idle(_SILENCE), "L:a@45"),
        demand=after(["wm:1"], ["wm:2"], ["a[0,10)=2", "wm:30"], ["a[30,40)=1", "wm:45"]),
        because="One shop that is closed on Sundays must not hold back the figures of all others.",
    ),
    Expectation(
        "WM-41",
        "an input from which nothing has ever come is left out too",
        pipeline=_BOTH,
        timeline=script("L:a@1 L:a@30", Idle(_SILENCE)),
        demand=after(["wm:~"], ["a[0,10)=1", "wm:30"]),
        because="A topic that was made and never used is the usual reason for a job that says nothing.",
    ),
    Expectation(
        "WM-42",
        "what comes from an input that was left out is late where time has gone on without it; then it counts again",
        pipeline=_BOTH,
        timeline=script("L:a@1 R:a@2", "L:a@30", Idle(_SILENCE), "R:a@5", "L:a@45", "R:a@50"),
        demand=after([], [], ["a[0,10)=2"], ["late:1", "wm:30"], ["wm:30"], ["a[30,40)=1", "wm:45"]),
        because="Whoever sets an idle time-out trades lateness for progress: the price has to be seen, and counted.",
    ),
    Expectation(
        "WM-43",
        "that an input is left out, and how far time has come without it, survives a restart without the disk",
        pipeline=_BOTH,
        timeline=script("L:a@1 R:a@2", "L:a@30", Idle(_SILENCE), Restart(wipe_state=True), "L:a@45", "R:a@31"),
        demand=after([], [], ["a[0,10)=2"], [], ["a[30,40)=1", "wm:45"], ["late:1", "wm:45"]),
        because="A decision by the clock on the wall must be written down: a replay would decide otherwise.",
    ),
]
