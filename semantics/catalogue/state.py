"""ST: how much an engine remembers, and whether it still does after a restart, with or without its local disk."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.pipeline import Aggregate, Dedup, Emit, Function, Hopping, How, Join, Session, Source, Tumbling
from semantics.time import s
from semantics.timeline import Flush, Restart

_RUNNING = Aggregate(Source(), emit=Emit.UPDATE)
_WINDOWS = Aggregate(Source(delay=s(0)), window=Tumbling(s(10)))
_HOPPING = Aggregate(Source(delay=s(0)), window=Hopping(s(10), s(5)))
_FULL = Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(0), hi=s(5), how=How.FULL)
_WIPED = Restart(wipe_state=True)

EXPECTATIONS = [
    Expectation(
        "ST-01",
        "a windowed count holds the open windows of each key, however long it runs",
        pipeline=Aggregate(Source(delay=s(5)), window=Tumbling(s(10))),
        timeline=script("a@1 b@2", "a@11 b@12", "a@21 b@22", "a@31 b@32"),
        demand=after(
            ["state:2"],
            ["state:4"],
            ["a[0,10)=1", "b[0,10)=1", "state:4"],
            ["a[10,20)=1", "b[10,20)=1", "state:4"],
        ),
        because="State is rate times retention. Whatever else it is, it is a leak.",
        core=True,
    ),
    Expectation(
        "ST-02",
        "an aggregate without a window keeps every key for ever",
        pipeline=_RUNNING,
        timeline=script("a@1 b@2", "c@3", "a@+30d"),
        demand=after(["a=1", "b=1", "state:2"], ["c=1", "state:3"], ["a=2", "state:3"]),
        because="Nothing tells it when a key is done: plan its size by the keys that will ever be.",
    ),
    Expectation(
        "ST-03",
        "a window that was open at a restart closes, though nothing more comes for it",
        pipeline=_WINDOWS,
        timeline=script("a@1", Restart(), "z@60"),
        demand=after([], [], ["a[0,10)=1"]),
        because="Restored rows are not enough: that they are due must come back with them.",
        core=True,
    ),
    Expectation(
        "ST-04",
        "rows of both sides that waited during a restart come out unmatched when their time is over",
        pipeline=_FULL,
        timeline=script("L:a@0", "R:b@1", Restart(), "L:x@60", "R:y@70"),
        demand=after([], [], [], [], ["a(0,_)", "b(_,1)", "state:2"]),
        because="A join's rows have a time by which they must be given up, and it is state too.",
    ),
    Expectation(
        "ST-05",
        "open windows survive the loss of the local disk",
        pipeline=_WINDOWS,
        timeline=script("a@1 b@2", _WIPED, "a@3", "z@60"),
        demand=after([], [], [], ["a[0,10)=2", "b[0,10)=1"]),
        because="The local store is a cache of what is kept elsewhere.",
    ),
    Expectation(
        "ST-06",
        "two open sessions survive the loss of the local disk, and can still become one",
        pipeline=Aggregate(Source(delay=s(20)), window=Session(s(10))),
        timeline=script("a@0 a@16", _WIPED, "a@8", "z@60"),
        demand=after(["state:2"], ["state:2"], ["state:1"], ["a[0,26)=3"]),
        because="Sessions are the state that is hardest to write down: bounds that move, rows that vanish.",
    ),
    Expectation(
        "ST-07",
        "known ids survive the loss of the local disk",
        pipeline=Dedup(Source(delay=s(10)), horizon=s(10)),
        timeline=script("a#x@0 b#x@1", _WIPED, "a#x@3 b#y@4"),
        demand=after(["a#x@0", "b#x@1"], [], ["b#y@4", "dup:1", "state:3"]),
        because="Whoever forgets on a new machine what he has sent, sends it again.",
        core=True,
    ),
    Expectation(
        "ST-08",
        "all windows that an event is in survive a restart",
        pipeline=_HOPPING,
        timeline=script("a@7", Restart(), "a@12", "z@60"),
        demand=after([], [], ["a[0,10)=1"], ["a[5,15)=2", "a[10,20)=1"]),
        because="One event is many rows of state; a restart must bring back each.",
    ),
    Expectation(
        "ST-09",
        "nothing is left of windows once all have closed, in any partition",
        pipeline=_HOPPING,
        timeline=script("a@7 b@7/1", Flush(300_000_000)),
        demand=after(["state:4"], ["a[0,10)=1", "a[5,15)=1", "b[0,10)=1", "b[5,15)=1", "state:0"]),
        because="What remains after the last window is what will fill the disk.",
        core=True,
    ),
    Expectation(
        "ST-10",
        "windows that speak in updates are forgotten too when they are final",
        pipeline=Aggregate(Source(delay=s(0)), window=Tumbling(s(10)), emit=Emit.UPDATE),
        timeline=script("a@1 b@2", "z@60"),
        demand=after(["a[0,10)=1", "b[0,10)=1", "state:2"], ["z[60,70)=1", "state:1"]),
        because="That nothing is said at the end does not mean that nothing is to be done.",
    ),
    Expectation(
        "ST-11",
        "updates of one key come out in the order of its events",
        pipeline=Aggregate(Source(), (Function.SUM,), emit=Emit.UPDATE),
        timeline=script("a=5@1 a=-7@2 a=4@3", "a=-9@4 a=9@5"),
        demand=after(["a=2"], ["a=2"]),
        because="Whoever upserts them ends with the wrong balance, or passes through ones that never were.",
        core=True,
    ),
]
