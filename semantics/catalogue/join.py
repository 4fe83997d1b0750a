"""SSJ: stream-stream interval joins. Keys are equal and left time <= right time <= left time + 5 s, unless said."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.pipeline import How, Join, Source
from semantics.time import s
from semantics.timeline import Restart


def _join(how: How = How.INNER, *, delay: float = 0, lo: float = 0, hi: float = 5) -> Join:
    return Join(Source("L", delay=s(delay)), Source("R", delay=s(delay)), lo=s(lo), hi=s(hi), how=how)


_INNER = _join(delay=10)
_LEFT = _join(How.LEFT)
_RIGHT = _join(How.RIGHT)
_FULL = _join(How.FULL)

EXPECTATIONS = [
    Expectation(
        "SSJ-01",
        "a pair's bounds are inclusive",
        pipeline=_INNER,
        timeline=script("L:a@0", "R:a@0 R:a@5 R:a@5.000001"),
        demand=after([], ["a(0,0)", "a(0,5)"]),
        because="The payment exactly five minutes after the order is the one that the contract is about.",
        core=True,
    ),
    Expectation(
        "SSJ-02",
        "a pair comes out at once, whichever side came first",
        pipeline=_INNER,
        timeline=script("R:a@3", "L:a@0"),
        demand=after([], ["a(0,3)"]),
        because="Two topics have no common order.",
        core=True,
    ),
    Expectation(
        "SSJ-03",
        "every left of a key meets every right of it",
        pipeline=_INNER,
        timeline=script("L:a@0 L:a@1", "R:a@2 R:a@3"),
        demand=after([], ["a(0#e1,2#e3)", "a(0#e1,3#e4)", "a(1#e2,2#e3)", "a(1#e2,3#e4)"]),
        because="A join is no lookup: duplicates multiply.",
    ),
    Expectation(
        "SSJ-04",
        "an unmatched left row comes out once the watermark is past its last possible partner, not at it",
        pipeline=_LEFT,
        timeline=script("L:a@0", "L:x@5", "R:y@5", "L:x@6", "R:y@6"),
        demand=after([], [], [], [], ["a(0,_)"]),
        because="A null that comes too early stands beside the match that came in time.",
        core=True,
    ),
    Expectation(
        "SSJ-05",
        "a left row that found its partner never comes out with a null as well",
        pipeline=_LEFT,
        timeline=script("L:a@0", "R:a@3", "L:x@60", "R:y@60"),
        demand=after([], ["a(0,3)"], [], []),
        because="Matched and unmatched at once is a wrong number in every funnel.",
        core=True,
    ),
    Expectation(
        "SSJ-06",
        "the slower side holds the watermark",
        pipeline=_LEFT,
        timeline=script("L:a@0", "L:z@100", "R:a@3", "R:z@100"),
        demand=after([], [], ["a(0,3)", "wm:3"], ["z(100,100)"]),
        because="The fast topic must not declare the slow topic's data late.",
        core=True,
    ),
    Expectation(
        "SSJ-07",
        "a late row does not match, even if its partner is still there",
        pipeline=_LEFT,
        timeline=script("L:a@0", "R:y@4", "L:x@4", "R:a@3", "L:w@60", "R:v@60"),
        demand=after([], [], [], ["late:1"], [], ["a(0,_)", "x(4,_)"]),
        because="Late is late: what a reader sees must not depend on what happens to be buffered.",
    ),
    Expectation(
        "SSJ-08",
        "a right row exactly at the watermark is not late",
        pipeline=_LEFT,
        timeline=script("L:a@0", "R:y@4", "L:x@4", "R:a@4"),
        demand=after([], [], [], ["a(0,4)"]),
        because="The watermark says that everything before it has arrived, so what stands at it has not.",
        core=True,
    ),
    Expectation(
        "SSJ-09",
        "a left row exactly at the watermark is not late",
        pipeline=_join(),
        timeline=script("L:x@10", "R:y@10", "L:a@10", "R:a@12"),
        demand=after([], [], [], ["a(10,12)"]),
        because="With a delay of zero, every second event of one instant would be lost.",
    ),
    Expectation(
        "SSJ-10",
        "what can find no partner any more is forgotten",
        pipeline=_join(),
        timeline=script("L:a@0", "R:a@3", "L:x@60", "R:y@60"),
        demand=after(["state:1"], ["a(0,3)", "state:2"], ["state:3"], ["state:2"]),
        because="State that only grows ends the job, on a Sunday.",
        core=True,
    ),
    Expectation(
        "SSJ-11",
        "null keys match nothing, and an unmatched one comes out as such",
        pipeline=_LEFT,
        timeline=script("L:~@0", "R:~@1", "L:x@60", "R:y@60"),
        demand=after([], [], [], ["~(0,_)"]),
        because="In SQL null equals nothing, not even null.",
    ),
    Expectation(
        "SSJ-12",
        "a row waits for its partner across a restart",
        pipeline=_INNER,
        timeline=script("L:a@0", Restart(), "R:a@3"),
        demand=after([], [], ["a(0,3)"]),
        because="A join's buffer is state like any other.",
    ),
    Expectation(
        "SSJ-13",
        "that a row was matched is remembered across a restart",
        pipeline=_LEFT,
        timeline=script("L:a@0", "R:a@3", Restart(), "L:x@60", "R:y@60"),
        demand=after([], ["a(0,3)"], [], [], []),
        because="The flag is the part of a join's state that is forgotten first.",
    ),
    Expectation(
        "SSJ-14",
        "bounds may reach into the past",
        pipeline=_join(delay=10, lo=-2, hi=5),
        timeline=script("L:a@10", "R:a@7.999999 R:a@8 R:a@15"),
        demand=after([], ["a(10,8)", "a(10,15)"]),
        because="Clocks of two systems differ: the effect can be stamped before its cause.",
    ),
    Expectation(
        "SSJ-15",
        "a late left row is dropped: neither matched nor padded",
        pipeline=_LEFT,
        timeline=script("L:x@50", "R:y@50", "L:a@10", "L:w@100", "R:v@100"),
        demand=after([], [], ["late:1"], [], ["x(50,_)"]),
        because="Flink SQL and Kafka Streams pad it at once: a total of left rows differs by the late ones.",
    ),
    Expectation(
        "SSJ-16",
        "after a restart each side still knows its own clock",
        pipeline=_LEFT,
        timeline=script("L:x@50", "R:y@20", Restart(), "L:a@30", "R:z@40"),
        demand=after([], [], [], [], ["a(30,_)", "wm:40"]),
        because="If the faster side's clock is forgotten, results wait for data that has long been seen.",
    ),
    Expectation(
        "SSJ-17",
        "after a restart of an inner join time goes on from both sides' clocks",
        pipeline=_join(),
        timeline=script("L:x@100", "R:y@10", Restart(), "R:z@60"),
        demand=after([], ["wm:10"], ["wm:10"], ["wm:60"]),
        because="State is only evicted as fast as the clock that is remembered.",
    ),
    Expectation(
        "SSJ-18",
        "a null row comes out a millisecond after the bound",
        pipeline=_LEFT,
        timeline=script("L:a@0", "L:x@5.001", "R:y@5.001", "L:x@20", "R:y@19"),
        demand=after([], [], ["a(0,_)"], [], ["x(5.001,_)"]),
        because="Where exactly a row is given up decides the outcome of races at the bound.",
    ),
    Expectation(
        "SSJ-19",
        "a null row comes out a microsecond after the bound",
        pipeline=_LEFT,
        timeline=script("L:a@0", "L:x@5.000001", "R:y@5.000001", "L:x@20", "R:y@19"),
        demand=after([], [], ["a(0,_)"], [], ["x(5.000001,_)"]),
        because="Event time has microseconds; a coarser clock holds results back.",
    ),
    Expectation(
        "SSJ-20",
        "an unmatched right row comes out once the watermark is past its last possible partner, not at it",
        pipeline=_RIGHT,
        timeline=script("R:a@2", "L:x@2", "L:x@3", "R:y@3"),
        demand=after([], [], [], ["a(_,2)"]),
        because="The two sides have different bounds: a right row here waits for nothing later than itself.",
    ),
    Expectation(
        "SSJ-21",
        "a right row that found its partner never comes out with a null as well",
        pipeline=_RIGHT,
        timeline=script("R:a@3", "L:a@0", "L:x@60", "R:y@60"),
        demand=after([], ["a(0,3)"], [], []),
        because="The flag is kept for one side in most designs, and for the other one by chance.",
    ),
    Expectation(
        "SSJ-22",
        "a full join shows the pair, and what is unmatched on either side, each once",
        pipeline=_FULL,
        timeline=script("L:l@0 L:m@0", "R:m@3 R:r@3", "L:x@60", "R:y@60"),
        demand=after([], ["m(0,3)"], [], ["l(0,_)", "r(_,3)"]),
        because="Reconciling two systems is this join: every row once, with what it was compared to.",
        core=True,
    ),
    Expectation(
        "SSJ-23",
        "a late row of a full join is dropped, on either side: neither matched nor padded",
        pipeline=_FULL,
        timeline=script("L:x@50", "R:y@50", "L:a@10", "R:b@10", "L:w@100", "R:v@100"),
        demand=after([], [], ["late:1"], ["late:1"], [], ["x(50,_)", "y(_,50)"]),
        because="If it is padded instead, a total of rows differs from the one of yesterday's run.",
        core=True,
    ),
    Expectation(
        "SSJ-24",
        "null keys match nothing in a full join either: both come out unmatched",
        pipeline=_FULL,
        timeline=script("L:~@0", "R:~@1", "L:x@60", "R:y@60"),
        demand=after([], [], [], ["~(0,_)", "~(_,1)"]),
        because="One unknown is not the other one, and both must be accounted for.",
    ),
    Expectation(
        "SSJ-25",
        "null keys beside a pair are unmatched, even at one instant with it",
        pipeline=_FULL,
        timeline=script("L:~@0 L:a@0", "R:a@0 R:~@0 R:~@2", "L:x@60", "R:y@60"),
        demand=after([], ["a(0,0)", "state:5"], ["~(_,0)"], ["~(0,_)", "~(_,2)"]),
        because="Nulls that match each other multiply: a thousand and a thousand make a million rows.",
    ),
    Expectation(
        "SSJ-26",
        "an unmatched right row comes out a microsecond after its bound",
        pipeline=_RIGHT,
        timeline=script("R:a@2", "L:x@2.000001", "R:y@2.000001"),
        demand=after([], [], ["a(_,2)"]),
        because="Either side is given up by its own bound, as exactly as time is known.",
    ),
]
