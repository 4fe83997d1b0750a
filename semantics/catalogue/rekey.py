"""NK: new keys, which send events and their time to other partitions. Of two, x belongs to the first, u to the last."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import ID, Literal
from semantics.pipeline import (
    Absence,
    Aggregate,
    AsOf,
    Emit,
    Function,
    Join,
    KeyBy,
    Lookup,
    Session,
    Source,
    Timer,
    Tumbling,
)
from semantics.time import s
from semantics.timeline import Crash, CrashPoint, Idle, Restart, Scale

_BY_ID = KeyBy(Source(delay=s(0)), ID)
_COUNT = Aggregate(KeyBy(Source(), ID), emit=Emit.UPDATE)
_WINDOWS = Aggregate(_BY_ID, window=Tumbling(s(10)))

_LATE = Aggregate(KeyBy(Source(delay=s(0), late_output=True), ID), window=Tumbling(s(10)))

EXPECTATIONS = [
    Expectation(
        "NK-01",
        "events of all partitions meet behind a new key",
        pipeline=_COUNT,
        timeline=script("a#x@0 a#u@0 b#x@1/1 b#u@1/1", "b#x@2/1 a#u@2"),
        demand=after(["x=2", "u=2"], ["x=3", "u=3"]),
        because="A count by anything but the producer's key is wrong if its events stay where they came in.",
        core=True,
    ),
    Expectation(
        "NK-02",
        "behind a new key, a window waits for the slowest partition",
        pipeline=_WINDOWS,
        timeline=script("a#x@1 b#x@2/1", "a#x@30", "b#x@31/1"),
        demand=after([], ["wm:2"], ["x[0,10)=2", "wm:30"]),
        because="Any partition may still hold events of this key: to close by the fastest is to lose the slowest's.",
    ),
    Expectation(
        "NK-03",
        "time moves behind a new key even where no event goes",
        pipeline=_WINDOWS,
        timeline=script("a#x@1 b#u@2/1", "a#x@30 b#x@31/1"),
        demand=after([], ["x[0,10)=1", "u[0,10)=1"]),
        because="Time that travels only with events stands still wherever a key is quiet, and its windows never close.",
    ),
    Expectation(
        "NK-04",
        "behind a new key an event is late by the slowest partition, not by its own",
        pipeline=_WINDOWS,
        timeline=script("a#x@20 b#x@2/1", "a#x@5", "b#x@40/1"),
        demand=after([], ["late:0"], ["x[0,10)=2"]),
        because="What still counts must not hang on which partition it came through.",
    ),
    Expectation(
        "NK-05",
        "what is late behind a new key is dropped and counted",
        pipeline=_WINDOWS,
        timeline=script("a#x@20 b#x@21/1", "a#x@5", "b#u@6/1", "a#u@60 b#u@60/1"),
        demand=after([], ["late:1"], ["late:1"], ["x[20,30)=2"]),
        because="The time by which an event is judged must travel as exactly as the event.",
    ),
    Expectation(
        "NK-06",
        "a session behind a new key spans partitions, and waits for the slowest of them",
        pipeline=Aggregate(_BY_ID, window=Session(s(10))),
        timeline=script("a#x@0 b#x@8/1", "a#x@60", "b#x@61/1"),
        demand=after([], [], ["x[0,18)=2"]),
        because="A user's clicks reach different gateways; the visit is one.",
    ),
    Expectation(
        "NK-07",
        "a side with a new key meets a side that has that key",
        pipeline=Join(KeyBy(Source("L", delay=s(10)), ID), Source("R", delay=s(10)), lo=s(0), hi=s(5)),
        timeline=script("L:a#u@0 L:b#u@1/1", "R:u@4/1"),
        demand=after([], ["u(0,4)", "u(1,4)"]),
        because="Orders by number against payments by order: only one of the two comes with the right key.",
    ),
    Expectation(
        "NK-08",
        "a kill between output and commit repeats and loses nothing on the way to a new key",
        pipeline=Aggregate(KeyBy(Source(), ID), (Function.COUNT, Function.SUM), emit=Emit.UPDATE),
        timeline=script(
            "a#x=1@1 b#x=2@2/1",
            Crash(CrashPoint.AFTER_SINK),
            "a#x=4@3 a#u=8@4",
            Crash(CrashPoint.AFTER_SINK, wipe_state=True),
            "b#x=16@5/1",
            "b#u=32@6/1",
        ),
        demand=after(["x{n=2 sum=3}"], [], ["x{n=3 sum=7}", "u{n=1 sum=8}"], [], ["x{n=4 sum=23}"], ["u{n=2 sum=40}"]),
        because="An internal topic is output to one task and input to another: both must see the same of it.",
    ),
    Expectation(
        "NK-09",
        "after a restart that loses the local state, time behind a new key is still that of the slowest partition",
        pipeline=_WINDOWS,
        timeline=script("a#x@20 b#x@21/1", Restart(wipe_state=True), "a#x@5", "b#u@60/1", "a#u@60"),
        demand=after([], [], ["late:1"], [], ["x[20,30)=2"]),
        because="A task that forgets what others told it waits for ever for those that have nothing new to say.",
    ),
    Expectation(
        "NK-10",
        "both stages of a new key move to other workers and lose nothing",
        pipeline=_COUNT,
        timeline=script("a#x@1 b#u@1/1", Scale(3), "a#u@2 b#x@2/1", Scale(1), "a#x@3 b#u@3/1"),
        demand=after(["x=1", "u=1"], [], ["x=2", "u=2"], [], ["x=3", "u=3"]),
        because="Twice as many tasks, and they need not travel together.",
    ),
    Expectation(
        "NK-11",
        "windows of several partitions add up behind a new key, when the last of them has closed",
        pipeline=Aggregate(
            KeyBy(Aggregate(Source(delay=s(0)), window=Tumbling(s(10))), Literal("all")),
            (Function.COUNT, Function.SUM),
            window=Tumbling(s(10)),
        ),
        timeline=script("a@1 a@2 b@3/1", "a@10", "b@10/1"),
        demand=after([], [], ["all[0,10){n=2 sum=3}"]),
        because="A total closed by the first partition that is done lacks all the others.",
    ),
    Expectation(
        "NK-12",
        "each new key on the way sends events on, with the time that is left of each operator's own",
        pipeline=Aggregate(
            KeyBy(Aggregate(KeyBy(Source(delay=s(0)), ID), window=Tumbling(s(10), grace=s(5))), Literal("all")),
            window=Tumbling(s(10)),
        ),
        timeline=script("a#x@1 b#u@2/1", "a#x@12 b#x@12/1", "a#u@15 b#u@15/1"),
        demand=after([], [], ["all[0,10)=2"]),
        because="Three stages and two topics must say together what one would say alone.",
    ),
    Expectation(
        "NK-13",
        "an event with a new key is looked up where the table has that key",
        pipeline=Lookup(KeyBy(Source("L"), ID), Source("T"), as_of=AsOf.ARRIVAL),
        timeline=script("T:x=7@0 T:u=8@0/1", "L:a#x@1 L:b#u@2/1", "L:b#x@3/1"),
        demand=after([], ["x#x=7@1", "u#u=8@2"], ["x#x=7@3"]),
        because="Orders by customer, prices by article: one of the two has to travel.",
    ),
    Expectation(
        "NK-14",
        "a partition that has fallen silent does not hold back the others behind a new key",
        pipeline=Aggregate(KeyBy(Source(delay=s(0), idle_after=s(3)), ID), window=Tumbling(s(10))),
        timeline=script("a#x@1 b#x@2/1", "a#u@30", Idle(s(3)), "a#u@45", "b#x@31/1"),
        demand=after(["wm:1"], ["wm:2"], ["x[0,10)=2", "wm:30"], ["u[30,40)=1", "wm:45"], ["late:1", "wm:45"]),
        because="Keys are never spread evenly at night: one empty partition would stop every window of all keys.",
    ),
    Expectation(
        "NK-15",
        "a key that comes from several partitions is silent by processing time when all of them are",
        pipeline=Absence(KeyBy(Source(), ID), after=s(4), timer=Timer.PROCESSING_TIME),
        timeline=script("a#x@1 b#u@2/1", Idle(s(2)), "b#x@3/1", Idle(s(2)), Idle(s(2))),
        demand=after([], [], [], ["u#u@2"], ["x#x@3", "state:0"]),
        because="A customer who has gone from the shop to the phone is not silent.",
    ),
    Expectation(
        "NK-16",
        "where it is asked for, an event that is late behind a new key is a dead letter as well",
        pipeline=_LATE,
        timeline=script("a#x@1 b#u@2/1", "a#x@30 b#u@31/1", "a#u@5 a#x@32", "b#x@3/1"),
        demand=after([], ["x[0,10)=1", "u[0,10)=1"], ["late:1", "dead:late"], ["late:1", "dead:late"]),
        because="Which record was too late is known where time is, far from where the record came in.",
    ),
    Expectation(
        "NK-17",
        "that time has come too far for an event behind a new key is known after a restart without the disk",
        pipeline=_LATE,
        timeline=script("a#x@1 b#u@2/1", "a#x@30 b#u@31/1", Restart(wipe_state=True), "a#u@5 b#x@3/1"),
        demand=after([], ["x[0,10)=1", "u[0,10)=1"], [], ["late:2", "dead:2*late"]),
        because="An event that is late must not be in time because somebody deployed.",
    ),
    Expectation(
        "NK-18",
        "what is late behind a new key as the process dies is a dead letter, and counted, as is what comes after it",
        pipeline=_LATE,
        timeline=script(
            "a#x@1 b#u@2/1",
            "a#x@30 b#u@31/1",
            Crash(CrashPoint.AFTER_SINK),
            "a#u@5 a#x@60 b#x@3/1 b#u@61/1",
            "a#u@6 b#x@4/1",
        ),
        demand=after(
            [],
            ["x[0,10)=1", "u[0,10)=1"],
            [],
            ["x[30,40)=1", "u[30,40)=1", "late:2", "dead:2*late"],
            ["late:2", "dead:2*late"],
        ),
        because="The night of the crash is the one whose losses somebody will ask for.",
    ),
]
