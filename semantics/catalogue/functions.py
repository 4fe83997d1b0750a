"""AG: aggregate functions beyond counting. A window is a tumbling one of 10 s, unless said."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.pipeline import Aggregate, Emit, Function, Hopping, Session, Source, Tumbling, Window
from semantics.time import s
from semantics.timeline import Restart


def _of(*functions: Function, delay: float = 20, window: Window | None = None, at_most: int = 100) -> Aggregate:
    return Aggregate(Source(delay=s(delay)), functions, window=window or Tumbling(s(10)), at_most=at_most)


def _running(*functions: Function) -> Aggregate:
    return Aggregate(Source(), functions, emit=Emit.UPDATE)


_ENDS = (Function.FIRST, Function.LAST)
_LARGE = 1 << 60

EXPECTATIONS = [
    Expectation(
        "AG-01",
        "an average is no whole number because its values are",
        pipeline=_of(Function.AVG),
        timeline=script("a=3@1 a=4@2 b=-5@3", "z@60"),
        demand=after([], ["a[0,10)=3.5", "b[0,10)=-5"]),
        because="An engine that divides integers reports 3, and every average is too low.",
    ),
    Expectation(
        "AG-02",
        "an average is that of its exact sum, however large a value stands beside a small one",
        pipeline=_of(Function.AVG),
        timeline=script(f"a={_LARGE}@1 a=1@2 a={-_LARGE}@3", "z@60"),
        demand=after([], ["a[0,10)=0.3333333333333333"]),
        because="A sum in floating point forgets cents beside billions, and nobody sees which.",
    ),
    Expectation(
        "AG-03",
        "a running average is that of its exact sum after each event, across batches too",
        pipeline=_running(Function.AVG, Function.COUNT),
        timeline=script(f"a={_LARGE}@1", f"a=2@2 a={-_LARGE}@3", "a=4@4"),
        demand=after([f"a{{avg={_LARGE} n=1}}"], ["a{avg=0.6666666666666666 n=3}"], ["a{avg=1.5 n=4}"]),
        because="What was rounded away in an earlier batch cannot come back.",
    ),
    Expectation(
        "AG-04",
        "averages of two sessions become that of all their events",
        pipeline=_of(Function.AVG, window=Session(s(10))),
        timeline=script("a=1@0 a=2@16", "a=6@8", "z@60"),
        demand=after([], [], ["a[0,26)=3"]),
        because="The mean of two means is a mean of neither: a merge needs sum and count.",
    ),
    Expectation(
        "AG-05",
        "first and last are so in event time, not in the order of arrival",
        pipeline=_of(*_ENDS),
        timeline=script("a=2@5", "a=1@1 a=3@9", "a=7@4", "z@60"),
        demand=after([], [], [], ["a[0,10){first=1 last=3}"]),
        because="Opening and closing price of a minute must not depend on which network was faster.",
        core=True,
    ),
    Expectation(
        "AG-06",
        "of events at one time the first to arrive is first, and the last to arrive last",
        pipeline=_of(*_ENDS),
        timeline=script("a=1@5 a=2@5", "a=3@5", "z@60"),
        demand=after([], [], ["a[0,10){first=1 last=3}"]),
        because="Clocks have ticks: without a rule for ties a rerun tells another story.",
    ),
    Expectation(
        "AG-07",
        "a late event becomes neither first nor last",
        pipeline=_of(*_ENDS, delay=0, window=Tumbling(s(5))),
        timeline=script("a=1@2", "z@5", "a=9@1", "y@60"),
        demand=after([], ["a[0,5){first=1 last=1}"], ["late:1"], ["z[5,10){first=1 last=1}"]),
        because="A price that was published is not taken back in silence.",
    ),
    Expectation(
        "AG-08",
        "a session that grows backwards has another first event, and the same last one",
        pipeline=_of(*_ENDS, window=Session(s(10))),
        timeline=script("a=5@20 a=6@25", "a=4@12", "z@60"),
        demand=after([], [], ["a[12,35){first=4 last=6}"]),
        because="The page that a visit began with is often the one that was reported late.",
    ),
    Expectation(
        "AG-09",
        "a running last value is the latest so far, whatever arrives after it",
        pipeline=_running(Function.LAST),
        timeline=script("a=1@10", "a=2@5", "a=3@20"),
        demand=after(["a=1"], ["a=1"], ["a=3"]),
        because="A late position report must not move a vehicle back.",
    ),
    Expectation(
        "AG-10",
        "a collection is in the order of event time",
        pipeline=_of(Function.COLLECT),
        timeline=script("a=3@7 a=1@2 b=9@1", "a=2@5", "z@60"),
        demand=after([], [], ["a[0,10)=[1,2,3]", "b[0,10)=[9]"]),
        because="A path through a shop read in the order of arrival is a path that nobody went.",
    ),
    Expectation(
        "AG-11",
        "values collected at one time are in the order of arrival",
        pipeline=_of(Function.COLLECT),
        timeline=script("a=2@5 a=1@5", "a=3@5 a=0@4", "z@60"),
        demand=after([], [], ["a[0,10)=[0,2,1,3]"]),
        because="Sorting by time and value would look tidy, and invent an order.",
    ),
    Expectation(
        "AG-12",
        "a collection that is full keeps the earliest, whenever they arrive",
        pipeline=_of(Function.COLLECT, at_most=2),
        timeline=script("a=3@7 a=4@8", "a=1@1", "a=2@2 a=5@9", "z@60"),
        demand=after([], [], [], ["a[0,10)=[1,2]"]),
        because="One busy key must not fill the memory, nor may what is kept depend on the network.",
    ),
    Expectation(
        "AG-13",
        "sessions that become one put their collections in order",
        pipeline=_of(Function.COLLECT, window=Session(s(10))),
        timeline=script("a=4@16 a=1@0", "a=3@9 a=2@8", "z@60"),
        demand=after([], [], ["a[0,26)=[1,2,3,4]"]),
        because="The pieces of a visit come together in any order, and belong in one.",
    ),
    Expectation(
        "AG-14",
        "an event is collected in every hopping window that holds it",
        pipeline=_of(Function.COLLECT, Function.FIRST, window=Hopping(s(10), s(5))),
        timeline=script("a=2@7 a=1@3", "z@60"),
        demand=after(
            [], ["a[-5,5){collect=[1] first=1}", "a[0,10){collect=[1,2] first=1}", "a[5,15){collect=[2] first=2}"]
        ),
        because="Windows share events, not state: one must not empty another.",
    ),
    Expectation(
        "AG-15",
        "what was collected, the average and the ends survive the loss of the local disk",
        pipeline=_of(Function.COLLECT, Function.AVG, *_ENDS),
        timeline=script("a=5@5 a=1@1", Restart(wipe_state=True), "a=9@9 a=3@1", "z@60"),
        demand=after([], [], [], ["a[0,10){collect=[1,3,5,9] avg=4.5 first=1 last=9}"]),
        because="State that is more than a number must come back whole, order included.",
    ),
    Expectation(
        "AG-16",
        "where first and last are asked for, an event without event time is a dead letter, clock or not",
        pipeline=_running(*_ENDS),
        timeline=script("a=7@~", "a=1@1"),
        demand=after(["dead:no_time", "state:0"], ["a{first=1 last=1}"]),
        because="First in a time that it does not have is a guess.",
    ),
]
