"""CH: operators whose rows feed other operators, unions, clocks that do not stand at a source."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import VALUE, Literal, expr
from semantics.pipeline import (
    Aggregate,
    Dedup,
    Emit,
    Explode,
    Filter,
    Function,
    Hopping,
    How,
    Join,
    KeyBy,
    PairTime,
    Session,
    Source,
    Tumbling,
    Union,
    Watermark,
)
from semantics.time import s
from semantics.timeline import Crash, CrashPoint, Restart

_IN = Source(delay=s(0))
_LEFT, _RIGHT = Source("L", delay=s(0)), Source("R", delay=s(0))
_SUMS = Aggregate(
    Aggregate(_IN, (Function.SUM,), window=Tumbling(s(5))), (Function.SUM,), window=Tumbling(s(10))
)  # fmt: skip
_COUNTS = Aggregate(_IN, window=Tumbling(s(10)))
_APART = Union((Aggregate(_LEFT, window=Tumbling(s(10))), Aggregate(_RIGHT, window=Tumbling(s(10)))))


def _then_count(join: Join) -> Aggregate:
    return Aggregate(join, window=Tumbling(s(10)))


EXPECTATIONS = [
    Expectation(
        "CH-01",
        "a window of windows closes with the last of them, in the same step",
        pipeline=_SUMS,
        timeline=script("a=1@1 a=2@7", "a=4@10", "z@100"),
        demand=after([], ["a[0,10)=3"], ["a[10,20)=4"]),
        because="Minutes, then hours: if each level waited for the next event, a roll-up would never be on time.",
        core=True,
    ),
    Expectation(
        "CH-02",
        "a window's row has the last instant of its window: a window of the same size holds just that one",
        pipeline=Aggregate(
            Aggregate(_IN, window=Tumbling(s(10))), (Function.COUNT, Function.SUM), window=Tumbling(s(10))
        ),
        timeline=script("a@1 a@9.999999", "a@10"),
        demand=after([], ["a[0,10){n=1 sum=2}"]),
        because="Were it the window's end, every result would be booked in the period after its own.",
    ),
    Expectation(
        "CH-03",
        "the grace of one window holds back the windows of its rows",
        pipeline=Aggregate(Aggregate(_IN, window=Tumbling(s(5), grace=s(5))), (Function.SUM,), window=Tumbling(s(10))),
        timeline=script("a@1 a@6", "z@10", "a@7", "z@14.999999", "z@15"),
        demand=after([], [], ["late:0"], [], ["a[0,10)=3"]),
        because="Patience at the first level that the second does not know of turns its rows into late ones.",
    ),
    Expectation(
        "CH-04",
        "windows of an outer join's rows wait until no row of theirs can come out unmatched any more",
        pipeline=_then_count(Join(_LEFT, _RIGHT, lo=s(0), hi=s(5), how=How.LEFT, time=PairTime.LEFT)),
        timeline=script("L:a@1 L:b@9", "R:a@3", "L:x@12", "R:y@12", "L:x@16", "R:y@16"),
        demand=after([], [], [], ["late:0"], [], ["a[0,10)=1", "b[0,10)=1", "late:0"]),
        because="The join says late what is old: whoever closes by the inputs' clock loses every unmatched row.",
    ),
    Expectation(
        "CH-05",
        "what follows a join is held back by exactly its longer bound",
        pipeline=_then_count(Join(_LEFT, _RIGHT, lo=s(-2), hi=s(5), time=PairTime.LEFT)),
        timeline=script("L:a@1", "R:a@3", "L:x@14.999999", "R:y@14.999999", "L:x@15", "R:y@15"),
        demand=after([], [], [], [], [], ["a[0,10)=1"]),
        because="A pair is as old as its older side: less holding back loses it, more makes results late.",
    ),
    Expectation(
        "CH-06",
        "a pair has the time of its later side, unless told otherwise",
        pipeline=_then_count(Join(_LEFT, _RIGHT, lo=s(-5), hi=s(5))),
        timeline=script("L:a@9 L:b@11", "R:b@9 R:a@11", "L:x@60", "R:y@60"),
        demand=after([], [], [], ["a[10,20)=1", "b[10,20)=1"]),
        because="It exists since then: an order that was paid after midnight is income of the new day.",
    ),
    Expectation(
        "CH-07",
        "a pair has the time of the side that the pipeline names",
        pipeline=_then_count(Join(_LEFT, _RIGHT, lo=s(-5), hi=s(5), time=PairTime.RIGHT)),
        timeline=script("L:a@9 L:b@11", "R:b@9 R:a@11", "L:x@60", "R:y@60"),
        demand=after([], [], [], ["a[10,20)=1", "b[0,10)=1"]),
        because="Clicks are counted in the hour of the impression or of the click: that is for the business to say.",
    ),
    Expectation(
        "CH-08",
        "a repeat that was held back neither counts in a session nor prolongs it",
        pipeline=Aggregate(Dedup(Source(delay=s(20)), horizon=s(20)), window=Session(s(10))),
        timeline=script("a#x@0 a#y@5", "a#x@8", "z@60"),
        demand=after([], ["dup:1"], ["a[0,15)=2"]),
        because="A retry storm is no visit.",
    ),
    Expectation(
        "CH-09",
        "a session is counted where it ends",
        pipeline=Aggregate(Aggregate(_IN, window=Session(s(10))), window=Tumbling(s(60))),
        timeline=script("a@10", "a@50 a@55", "z@200"),
        demand=after([], [], ["a[0,60)=1", "a[60,120)=1"]),
        because="Visits per hour: each in one hour, none in two, and none lost for lying across.",
    ),
    Expectation(
        "CH-10",
        "the highest of hopping windows' counts is found among all of them",
        pipeline=Aggregate(Aggregate(_IN, window=Hopping(s(10), s(5))), (Function.MAX,), window=Tumbling(s(20))),
        timeline=script("a@7 a@8 a@12", "z@60"),
        demand=after([], ["a[0,20)=3"]),
        because="The peak of a moving figure is what limits are set by.",
    ),
    Expectation(
        "CH-11",
        "a filter keeps or drops a window's row by its result",
        pipeline=Filter(_COUNTS, expr(VALUE, ">=", 2)),
        timeline=script("a@1 a@2 b@3", "z@10"),
        demand=after([], ["a=2@9.999999"]),
        because="Nobody wants to be told of keys that did nothing special.",
    ),
    Expectation(
        "CH-12",
        "a running count that reaches a limit says so once, with the event that did it",
        pipeline=Filter(Aggregate(Source(), emit=Emit.UPDATE), expr(VALUE, "==", 3)),
        timeline=script("a@1 a@2 b@3", "a@4 a@5"),
        demand=after([], ["a#e4=3@4"]),
        because="The third failed login is the alert; the fourth is none.",
    ),
    Expectation(
        "CH-13",
        "windows of two streams are joined by their end",
        pipeline=Join(
            Aggregate(_LEFT, window=Tumbling(s(10))), Aggregate(_RIGHT, window=Tumbling(s(10))), lo=s(0), hi=s(0)
        ),
        timeline=script("L:a@1 L:b@2", "R:a@3 R:c@4 R:a@12", "L:z@60", "R:y@60"),
        demand=after([], [], ["a(9.999999,9.999999)"], []),
        because="Sent against received, minute by minute: the report that reconciles two systems.",
    ),
    Expectation(
        "CH-14",
        "a union's watermark is the lowest of its inputs'",
        pipeline=Aggregate(Union((_LEFT, _RIGHT)), window=Tumbling(s(5))),
        timeline=script("L:a@1", "R:b@1", "L:a@100", "R:b@2", "R:b@50"),
        demand=after([], [], [], ["late:0"], ["a[0,5)=1", "b[0,5)=2"]),
        because="Two regions, one topic each: the one that lags must not lose its data to the other's clock.",
    ),
    Expectation(
        "CH-15",
        "one clock behind a union goes by whoever is ahead",
        pipeline=Aggregate(Watermark(Union((Source("L"), Source("R"))), s(0)), window=Tumbling(s(5))),
        timeline=script("L:a@1", "L:a@100", "R:b@2"),
        demand=after([], ["a[0,5)=1", "wm:100"], ["late:1"]),
        because="The same boxes and arrows, and other results: where the clock stands is part of the program.",
    ),
    Expectation(
        "CH-16",
        "a clock behind a filter sees only what passed it",
        pipeline=Aggregate(Watermark(Filter(Source(), expr(VALUE, ">", 1)), s(0)), window=Tumbling(s(10))),
        timeline=script("a=5@1", "b=1@60", "a=5@2", "c=5@70"),
        demand=after([], ["wm:1"], ["late:0"], ["a[0,10)=2"]),
        because="Filter test traffic out before the clock, or its broken times are yours.",
    ),
    Expectation(
        "CH-17",
        "an event that becomes several counts as several, in its own key and window",
        pipeline=Aggregate(Explode(Source(delay=s(20))), (Function.COUNT, Function.SUM), window=Tumbling(s(10))),
        timeline=script("a=3@1 b=0@2 a=2@11", "z@60"),
        demand=after([], ["a[0,10){n=3 sum=3}", "a[10,20){n=2 sum=1}"]),
        because="An order is a record, its lines are what is counted.",
    ),
    Expectation(
        "CH-18",
        "what an event becomes is told apart by id",
        pipeline=Dedup(Explode(Source(delay=s(10))), horizon=s(10)),
        timeline=script("a#x=2@1", "a#x=3@2"),
        demand=after(["a#x_0=0@1", "a#x_1=1@1"], ["a#x_2=2@2", "dup:2"]),
        because="If the lines of an order share its id, a dedup behind keeps one of them.",
    ),
    Expectation(
        "CH-19",
        "a value that would become too many events becomes as many as are allowed",
        pipeline=Explode(Source(), most=2),
        timeline=script("a#x=9223372036854775807@1", "b#y=-1@2 b#z=1@3"),
        demand=after(["a#x_0=0@1", "a#x_1=1@1"], ["b#z_0=0@3"]),
        because="One broken record must not become more records than there are atoms.",
    ),
    Expectation(
        "CH-20",
        "an operator closes by the clocks of what it reads, whatever happens elsewhere in the pipeline",
        pipeline=_APART,
        timeline=script("L:a@1", "L:z@60", "R:y@60"),
        demand=after([], ["a=1@9.999999"], []),
        because="One silent input must not silence results that have nothing to do with it.",
    ),
    Expectation(
        "CH-21",
        "an event is judged by the clocks of what its operator reads",
        pipeline=_APART,
        timeline=script("L:a@1", "L:z@60", "L:a@2", "R:a@3", "R:y@60"),
        demand=after([], ["a=1@9.999999"], ["late:1"], ["late:0"], ["a=1@9.999999"]),
        because="Or a result that was final changes with the pace of another stream.",
    ),
    Expectation(
        "CH-22",
        "an event that a running aggregate takes can be late for the window behind it",
        pipeline=Aggregate(Aggregate(_IN, emit=Emit.UPDATE), (Function.MAX,), window=Tumbling(s(10))),
        timeline=script("a@5 a@6", "z@60", "a@7", "z@100"),
        demand=after([], ["a[0,10)=2"], ["late:1"], ["z[60,70)=1"]),
        because="Every operator judges for itself: what has no window has no late events.",
    ),
    Expectation(
        "CH-23",
        "counts of many keys add up to one total of the same window",
        pipeline=Aggregate(KeyBy(_COUNTS, Literal("all")), (Function.SUM,), window=Tumbling(s(10))),
        timeline=script("a@1 a@2 b@3", "z@10", "z@20"),
        demand=after([], ["all[0,10)=3"], ["all[10,20)=1"]),
        because="A hot key is counted in parts and then added: the total must be that of counting at once.",
    ),
    Expectation(
        "CH-24",
        "each operator of a chain has state of its own, and keeps it no longer than it must",
        pipeline=_SUMS,
        timeline=script("a@1 a@7", "a@10", "z@100"),
        demand=after(["state:2"], ["a[0,10)=2", "state:1"], ["a[10,20)=1", "state:1"]),
        because="Every level costs its own rows; a roll-up is small only if the level below lets go.",
    ),
    Expectation(
        "CH-25",
        "all operators of a chain survive the loss of the local disk, and are at one",
        pipeline=_SUMS,
        timeline=script("a=1@1 a=2@7", Restart(wipe_state=True), "a=4@8", "a=8@10"),
        demand=after([], [], [], ["a[0,10)=7"]),
        because="A row that left the first level and is not yet in the second would be lost on the way.",
    ),
    Expectation(
        "CH-26",
        "a crash between two operators loses nothing and counts nothing twice",
        pipeline=_SUMS,
        timeline=script("a=1@1", Crash(CrashPoint.BEFORE_PROCESS), "a=2@7", "a=8@10"),
        demand=after([], [], [], ["a[0,10)=3"]),
        because="The row that moved from one level to the next is in both, or in neither, if they commit apart.",
    ),
    Expectation(
        "CH-27",
        "final rows can feed an aggregate that speaks in updates",
        pipeline=Aggregate(_COUNTS, (Function.SUM,), window=Tumbling(s(20)), emit=Emit.UPDATE),
        timeline=script("a@1 a@2", "z@10", "z@25"),
        demand=after([], ["a[0,20)=2"], ["z[0,20)=1"]),
        because="The hour so far, out of minutes that are final: what a dashboard shows and an invoice agrees with.",
    ),
]
