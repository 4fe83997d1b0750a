"""EO: what a reader of committed data, the state and the position show under kill -9, restart and replay.

Each crash is a SIGKILL of every process that holds state, at a point of the protocol that is verified from outside.
The negative control is `faust:at-least-once`, which must repeat rows under the same kills.
"""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import VALUE, expr
from semantics.pipeline import Aggregate, Dedup, Emit, Filter, Function, Hopping, How, Join, Session, Source, Tumbling
from semantics.time import s
from semantics.timeline import Crash, CrashPoint, Flush, Restart, Scale

_RUNNING = Aggregate(Source(), emit=Emit.UPDATE)
_AFTER_SINK = Crash(CrashPoint.AFTER_SINK)


def _point(number: int, point: CrashPoint, where: str) -> Expectation:
    return Expectation(
        f"EO-{number:02}",
        f"a running count is exact and each row comes out once when the process is killed {where}",
        pipeline=_RUNNING,
        timeline=script("a@1 b@2", Crash(point), "a@3 b@4 a@5", "a@6"),
        demand=after(["a=1", "b=1"], [], ["a=2", "b=2", "a=3"], ["a=4"]),
        because="There is no safe moment to die: every point of the protocol must come out the same.",
    )


EXPECTATIONS = [
    Expectation(
        "EO-01",
        "under three kills between output and commit a running count is exact and each row comes out once",
        pipeline=_RUNNING,
        timeline=script("a@1 b@2", _AFTER_SINK, "a@3 b@4", _AFTER_SINK, "a@5 a@6", _AFTER_SINK, "b@7"),
        demand=after(["a=1", "b=1"], [], ["a=2", "b=2"], [], ["a=3", "a=4"], [], ["b=3"]),
        because="The window between writing a result and remembering that it was written is where duplicates are made.",
        core=True,
    ),
    Expectation(
        "EO-02",
        "a running count is exact and each row comes out once under three kills that take the local state with them",
        pipeline=_RUNNING,
        timeline=script(
            "a@1 b@2",
            Crash(CrashPoint.AFTER_SINK, wipe_state=True),
            "a@3 b@4",
            Crash(CrashPoint.AFTER_SINK, wipe_state=True),
            "a@5 a@6",
            Crash(CrashPoint.AFTER_SINK, wipe_state=True),
            "b@7",
        ),
        demand=after(["a=1", "b=1"], [], ["a=2", "b=2"], [], ["a=3", "a=4"], [], ["b=3"]),
        because="Machines are lost with their disks: state must come back from the log, exactly.",
        core=True,
    ),
    Expectation(
        "EO-03",
        "a window's final row comes out once, even if the process dies while it closes",
        pipeline=Aggregate(Source(delay=s(0)), (Function.COUNT, Function.SUM), window=Tumbling(s(10))),
        timeline=script("a=3@1 a=4@2", _AFTER_SINK, "z@60", "y@120"),
        demand=after([], [], ["a[0,10){n=2 sum=7}"], ["z[60,70){n=1 sum=1}"]),
        because="The invoice of the hour must go out, and must go out once.",
        core=True,
    ),
    Expectation(
        "EO-04",
        "a session that spans a kill is one session, and comes out once",
        pipeline=Aggregate(Source(delay=s(0)), window=Session(s(10))),
        timeline=script("a@0", _AFTER_SINK, "a@9 z@60", "y@120"),
        demand=after([], [], ["a[0,19)=2"], ["z[60,70)=1"]),
        because="Sessions live long; every deployment meets open ones.",
    ),
    Expectation(
        "EO-05",
        "a pair comes out once, even if the process dies as it is found",
        pipeline=Join(Source("L", delay=s(10)), Source("R", delay=s(10)), lo=s(0), hi=s(5)),
        timeline=script("L:a@0", _AFTER_SINK, "R:a@3", "R:a@4"),
        demand=after([], [], ["a(0,3)"], ["a(0,4)"]),
        because="Buffers, output and two positions must move together.",
    ),
    Expectation(
        "EO-06",
        "events that only pass through come out once each, even if the process dies between output and commit",
        pipeline=Filter(Source(), expr(VALUE, ">", 0)),
        timeline=script("a@1", _AFTER_SINK, "a@2 a=0@3 b@4", "a@5"),
        demand=after(["a#e1@1"], [], ["a#e2@2", "b#e4@4"], ["a#e5@5"]),
        because="Even without state, output and position can come apart.",
    ),
    _point(7, CrashPoint.BEFORE_PROCESS, "before it processed anything"),
    _point(8, CrashPoint.AFTER_PROCESS, "after it processed, before it wrote"),
    _point(9, CrashPoint.MID_SINK, "with half of its output written"),
    _point(10, CrashPoint.AFTER_COMMIT, "after its output was committed"),
    _point(11, CrashPoint.AFTER_PROGRESS, "after everything was recorded"),
    Expectation(
        "EO-12",
        "a graceful restart repeats nothing and forgets nothing",
        pipeline=_RUNNING,
        timeline=script("a@1 b@2", Restart(), "a@3"),
        demand=after(["a=1", "b=1"], [], ["a=2"]),
        because="Deployments are the most frequent fault of all.",
        core=True,
    ),
    Expectation(
        "EO-13",
        "exactly once does not remove what the producer sent twice",
        pipeline=_RUNNING,
        timeline=script("a#x@1 a#x@1", "a#x@1"),
        demand=after(["a=2"], ["a=3"]),
        because="Two records are two events: deduplication is an operator of its own.",
    ),
    Expectation(
        "EO-14",
        "a restart that loses the local state changes nothing",
        pipeline=Aggregate(Source(), (Function.COUNT, Function.SUM), emit=Emit.UPDATE),
        timeline=script("a=5@1 b=7@2 a=-2@3", Restart(wipe_state=True), "a=1@4 b=1@5"),
        demand=after(["a{n=2 sum=3}", "b{n=1 sum=7}"], [], ["a{n=3 sum=4}", "b{n=2 sum=8}"]),
        because="The local store is a cache of the log, never the other way round.",
        core=True,
    ),
    Expectation(
        "EO-15",
        "an event that passes a dedup as the process dies comes out once, and its id is known afterwards",
        pipeline=Dedup(Source(delay=s(10)), horizon=s(10)),
        timeline=script("a#x@0", _AFTER_SINK, "a#y@3 a#x@4", "a#y@5 a#x@6"),
        demand=after(["a#x@0"], [], ["a#y@3"], []),
        because="Deduplication that forgets in a crash fails exactly when the repeats come.",
        core=True,
    ),
    Expectation(
        "EO-16",
        "each hopping window of an event comes out once, even if the process dies as one closes",
        pipeline=Aggregate(Source(delay=s(0)), window=Hopping(s(10), s(5))),
        timeline=script("a@7", _AFTER_SINK, "a@12", "z@60"),
        demand=after([], [], ["a[0,10)=1"], ["a[5,15)=2", "a[10,20)=1"]),
        because="One record changes several rows of state: all of them, or none.",
    ),
    Expectation(
        "EO-17",
        "an unmatched row comes out once, even if the process dies as it is given up",
        pipeline=Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(0), hi=s(5), how=How.FULL),
        timeline=script("L:a@0", "L:x@60", _AFTER_SINK, "R:y@60", "R:x@63"),
        demand=after([], [], [], ["a(0,_)"], ["x(60,63)"]),
        because="A null that comes twice is a customer who is called twice.",
    ),
    Expectation(
        "EO-18",
        "a second worker that joins, and leaves again, takes over half of the work with its state",
        pipeline=_RUNNING,
        timeline=script("a@1 b@1/1", Scale(2), "a@2 b@2/1", Scale(1), "a@3 b@3/1"),
        demand=after(["a=1", "b=1"], [], ["a=2", "b=2"], [], ["a=3", "b=3"]),
        because="Workers come and go all day: a partition that changes hands must not begin again, nor skip.",
    ),
    Expectation(
        "EO-19",
        "when a worker dies between output and commit and stays away, another takes over and no row comes out twice",
        pipeline=_RUNNING,
        timeline=script("a@1 b@1/1", Scale(2), Crash(CrashPoint.AFTER_SINK, takeover=True), "a@2 b@2/1", "a@3 b@3/1"),
        demand=after(["a=1", "b=1"], [], [], ["a=2", "b=2"], ["a=3", "b=3"]),
        because="The dead worker's output lies open on the log, and whoever takes over has never seen its disk.",
    ),
    Expectation(
        "EO-20",
        "open windows and their clocks move with the partition",
        pipeline=Aggregate(Source(delay=s(5)), (Function.COUNT, Function.SUM), window=Tumbling(s(10))),
        timeline=script(
            "a=3@8 b=4@8/1", Scale(2), "a=5@2 b=6@1/1", "a@15 b@15/1", Scale(1), "a@9 b@9/1", Flush(60_000_000)
        ),
        demand=after(
            [],
            [],
            [],
            ["a[0,10){n=2 sum=8}", "b[0,10){n=2 sum=10}"],
            [],
            ["late:2"],
            ["a[10,20){n=1 sum=1}", "b[10,20){n=1 sum=1}"],
        ),
        because="A watermark that starts anew on another worker lets late events in, and windows come out twice.",
    ),
    Expectation(
        "EO-21",
        "a session survives the death of its worker as it grows, and comes out once, from another",
        pipeline=Aggregate(Source(delay=s(0)), window=Session(s(10))),
        timeline=script("a@0 b@0/1", Scale(3), Crash(CrashPoint.MID_SINK, takeover=True), "a@9 b@9/1", "a@60 b@60/1"),
        demand=after([], [], [], [], ["a[0,19)=2", "b[0,19)=2"]),
        because="Takeover is the one moment in which nobody alive has seen all of a session.",
    ),
    Expectation(
        "EO-22",
        "late events are counted and each row comes out once, even if the process dies before the step has ended",
        pipeline=Aggregate(Source(delay=s(0)), window=Tumbling(s(10))),
        timeline=script("a@1", "z@60", _AFTER_SINK, "a@2 b@3 y@120", "b@4 x@180"),
        demand=after([], ["a[0,10)=1"], [], ["z[60,70)=1", "late:2"], ["y[120,130)=1", "late:1"]),
        because="Books that do not close after a crash close never: in must be out, late and dead.",
    ),
    Expectation(
        "EO-23",
        "repeats are counted and each row comes out once, even if the process dies while the window behind closes",
        pipeline=Aggregate(Dedup(Source(delay=s(10)), horizon=s(10)), window=Tumbling(s(10))),
        timeline=script("a#x@1", _AFTER_SINK, "a#x@2 b#y@60", "b#z@61 b#z@62 b#w@120"),
        demand=after([], [], ["a[0,10)=1", "dup:1"], ["b[60,70)=2", "dup:1"]),
        because="Who pays by the event wants to know how many were none, the night of the crash included.",
    ),
    Expectation(
        "EO-24",
        "when a worker dies on the first record of a partition, another one reads that partition from its beginning",
        pipeline=Aggregate(Source(delay=s(0)), window=Tumbling(s(10))),
        timeline=script(
            Scale(2), "a@1 b@2/1", Crash(CrashPoint.AFTER_SINK, takeover=True), "c@4/2", "a@60 b@60/1 c@60/2"
        ),
        demand=after([], [], [], [], ["a[0,10)=1", "b[0,10)=1", "c[0,10)=1"]),
        because="Without a committed offset the group has no position that leads back to the record.",
    ),
]
