"""SW: session windows. The gap is 10 s; from SW-23 on it is each event's own, as many seconds as its value."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import VALUE
from semantics.pipeline import Aggregate, Emit, Function, Session, Source
from semantics.time import s
from semantics.timeline import Flush, Restart


def _count(delay: float) -> Aggregate:
    return Aggregate(Source(delay=s(delay)), window=Session(s(10)))


_GRACE = Aggregate(Source(delay=s(0)), window=Session(s(10), grace=s(5)))

_OWN_GAPS = Aggregate(Source(delay=s(30)), window=Session(VALUE))
_OWN_GAPS_NOW = Aggregate(Source(delay=s(0)), window=Session(VALUE))


def _cut(delay: float) -> Aggregate:
    return Aggregate(Source(delay=s(delay)), window=Session(s(10), longest=s(60)))


EXPECTATIONS = [
    Expectation(
        "SW-01",
        "a session ends one gap after its last event",
        pipeline=_count(delay=0),
        timeline=script("a@0 a@9", "z@60"),
        demand=after([], ["a[0,19)=2"]),
        because="Billing and timeouts count from the end: last event plus gap, not the last event.",
        core=True,
    ),
    Expectation(
        "SW-02",
        "events exactly one gap apart belong to one session",
        pipeline=_count(delay=20),
        timeline=script("a@0 a@10", "a@20.001 z@60"),
        demand=after([], ["a[0,20)=2", "a[20.001,30.001)=1"]),
        because="Spark, Flink and Kafka Streams merge sessions that touch, Beam does not: revenue a session halves.",
        core=True,
    ),
    Expectation(
        "SW-03",
        "an event between two sessions makes them one",
        pipeline=_count(delay=20),
        timeline=script("a@0 a@16", "a@8", "z@60"),
        demand=after(["state:2"], ["state:1"], ["a[0,26)=3"]),
        because="Out-of-order data joins what looked like two visits.",
        core=True,
    ),
    Expectation(
        "SW-04",
        "sessions of different keys never meet",
        pipeline=_count(delay=0),
        timeline=script("a@0 b@0", "a@9", "b@30", "z@90"),
        demand=after([], [], ["a[0,19)=2", "b[0,10)=1"], ["b[30,40)=1"]),
        because="One user's click must not prolong another user's session.",
    ),
    Expectation(
        "SW-05",
        "a session is final once the watermark reaches its end, and comes out once",
        pipeline=_count(delay=0),
        timeline=script("a@0", "b@9.999", "c@10", "d@19"),
        demand=after([], [], ["a[0,10)=1"], []),
        because="The boundary decides whether a session at its very end is still open.",
        core=True,
    ),
    Expectation(
        "SW-06",
        "an out-of-order event extends a session that is still open",
        pipeline=_count(delay=0),
        timeline=script("a@0", "a@10", "a@5", "z@50"),
        demand=after([], [], [], ["a[0,20)=3"]),
        because="Behind the watermark is not late while the session is open.",
    ),
    Expectation(
        "SW-07",
        "an event late by itself counts if the session that it touches is open",
        pipeline=_count(delay=0),
        timeline=script("a@10", "z@18", "a@7", "y@60"),
        demand=after([], [], [], ["a[7,20)=2", "z[18,28)=1"]),
        because="Flink and Kafka Streams keep it, Spark and Beam drop it: the same clicks give another first page.",
        core=True,
    ),
    Expectation(
        "SW-08",
        "late events can extend an open session backwards, one after another",
        pipeline=Aggregate(Source(delay=s(0)), (Function.COUNT, Function.SUM), window=Session(s(10))),
        timeline=script("a=5@10", "z@19.5", "a=2@4", "a=3@-3", "y@60"),
        demand=after([], [], [], [], ["a[-3,20){n=3 sum=10}", "z[19.5,29.5){n=1 sum=1}"]),
        because="What is late is judged by the session that the event would become part of.",
    ),
    Expectation(
        "SW-09",
        "an event that overlaps a session already final starts a second one",
        pipeline=_count(delay=0),
        timeline=script("a@0", "b@12", "a@3", "z@60"),
        demand=after([], ["a[0,10)=1"], [], ["a[3,13)=1", "b[12,22)=1"]),
        because="Surprising: a final result is never corrected, so the sessions of a key can overlap.",
        core=True,
    ),
    Expectation(
        "SW-10",
        "an event whose session is over is dropped",
        pipeline=_count(delay=0),
        timeline=script("a@0", "z@50", "a@3", "y@100"),
        demand=after([], ["a[0,10)=1"], ["late:1"], ["z[50,60)=1"]),
        because="Otherwise closed sessions come back as fragments.",
    ),
    Expectation(
        "SW-11",
        "the order of events within the delay does not matter",
        pipeline=_count(delay=20),
        timeline=script("a@9 a@0 a@18 a@5", "z@60"),
        demand=after([], ["a[0,28)=4"]),
        because="Same input, same answer, whatever the network did to the order.",
    ),
    Expectation(
        "SW-12",
        "a session is one row of state, however many events it has",
        pipeline=_count(delay=0),
        timeline=script("a@0 a@5 a@10 a@15 a@20", "a@25", "z@60"),
        demand=after(["state:1"], ["state:1"], ["a[0,35)=6"]),
        because="An engine that keeps the events of an endless session runs out of memory.",
    ),
    Expectation(
        "SW-13",
        "a session survives a restart in its middle",
        pipeline=_count(delay=0),
        timeline=script("a@0", Restart(), "a@9", "z@60"),
        demand=after([], [], [], ["a[0,19)=2"]),
        because="A deployment must not cut every open session in two.",
    ),
    Expectation(
        "SW-14",
        "sessions close to the microsecond",
        pipeline=_count(delay=0),
        timeline=script("a@0.0005", "b@10.0005", "z@60"),
        demand=after([], ["a[0.0005,10.0005)=1"], ["b[10.0005,20.0005)=1"]),
        because="A clock of milliseconds holds a result back, and says nothing of it.",
    ),
    Expectation(
        "SW-15",
        "a session before 1970 is a session",
        pipeline=_count(delay=0),
        timeline=script("a@-21000d a@-1814399995", "z@-20999d"),
        demand=after([], ["a[-1814400000,-1814399985)=2"]),
        because="The start of the clock must not decide which data exists.",
    ),
    Expectation(
        "SW-16",
        "an event of the same batch that is over by the one before it is late",
        pipeline=_count(delay=0),
        timeline=script("z@100 a@1", "y@200"),
        demand=after([], ["z[100,110)=1"]),
        because="How the input is cut into batches must not change the answer.",
    ),
    Expectation(
        "SW-17",
        "a session is open for its grace after its end",
        pipeline=_GRACE,
        timeline=script("a@0", "z@10", "a@8", "z@30"),
        demand=after([], [], [], ["a[0,18)=2", "z[10,20)=1"]),
        because="Grace is patience for one operator; delay is patience for all.",
    ),
    Expectation(
        "SW-18",
        "an event whose session is over, grace included, is late",
        pipeline=_GRACE,
        timeline=script("a@0", "z@15", "a@-1", "y@60"),
        demand=after([], ["a[0,10)=1"], ["late:1"], ["z[15,25)=1"]),
        because="Patience that has no end is a leak.",
    ),
    Expectation(
        "SW-19",
        "a key can have several open sessions",
        pipeline=_count(delay=30),
        timeline=script("a@0 a@20", "a@2", "z@60"),
        demand=after(["state:2"], ["state:2"], ["a[0,12)=2", "a[20,30)=1"]),
        because="Data of an hour ago and of now arrive side by side: room for one session a key mixes them.",
        core=True,
    ),
    Expectation(
        "SW-20",
        "a merged session knows the lowest and the highest of its parts",
        pipeline=Aggregate(Source(delay=s(20)), (Function.MIN, Function.MAX), window=Session(s(10))),
        timeline=script("a=5@0 a=1@16", "a=9@8", "z@60"),
        demand=after([], [], ["a[0,26){min=1 max=9}"]),
        because="Merging must combine what was aggregated, not only add it up.",
    ),
    Expectation(
        "SW-21",
        "a session that speaks in updates says each new state of it, and nothing at its end",
        pipeline=Aggregate(Source(delay=s(0)), window=Session(s(10)), emit=Emit.UPDATE),
        timeline=script("a@0", "a@5", "z@60"),
        demand=after(["a[0,10)=1"], ["a[0,15)=2"], ["z[60,70)=1", "state:1"]),
        because="Spark refuses session_window in update mode: there it takes a stateful processor of the user's own.",
    ),
    Expectation(
        "SW-22",
        "whether a session is over is decided by its own partition's clock",
        pipeline=_count(delay=0),
        timeline=script("b@5/1", "a@100/0", "a@80/0", Flush(300_000_000)),
        demand=after([], [], ["late:1"], ["a[100,110)=1", "b[5,15)=1"]),
        because="Keys of one partition must not wait for those of another.",
    ),
    Expectation(
        "SW-23",
        "with a gap of its own each event says how long its session waits for the next",
        pipeline=_OWN_GAPS,
        timeline=script("a=20@0 a=20@15 b=5@0 b=5@15", "z=1@100"),
        demand=after([], ["a[0,35)=2", "b[0,5)=1", "b[15,20)=1"]),
        because="A buyer at the till may pause longer than one who browses.",
    ),
    Expectation(
        "SW-24",
        "an event with a short gap does not end a session that has a longer one open",
        pipeline=_OWN_GAPS,
        timeline=script("a=30@0 a=1@5", "a=2@28", "z=1@100"),
        demand=after([], [], ["a[0,30)=3"]),
        because="The end is the highest that any event asked for, not that of the last event.",
    ),
    Expectation(
        "SW-25",
        "an event that touches the end which another one's gap has made belongs to it",
        pipeline=_OWN_GAPS,
        timeline=script("a=20@0 a=10@20 a=10@30.000001", "z=1@100"),
        demand=after([], ["a[0,30)=2", "a[30.000001,40.000001)=1"]),
        because="Touching is belonging, whoever's gap it is: and a microsecond later it is not.",
    ),
    Expectation(
        "SW-26",
        "an event whose gap is not above zero is filtered: neither late nor dead, nor state",
        pipeline=_OWN_GAPS,
        timeline=script("a=0@0 b=-5@1", "c=1@2 z=1@100"),
        demand=after(["state:0", "late:0", "dead:0"], ["c[2,3)=1"]),
        because="A gap of zero is a session that ends before it begins: it must not be one that never does.",
    ),
    Expectation(
        "SW-27",
        "an event that its gap filters has moved the clock all the same",
        pipeline=_OWN_GAPS_NOW,
        timeline=script("a=5@0", "b=0@5", "z=1@100"),
        demand=after([], ["a[0,5)=1"], []),
        because="It was seen, so time has come that far.",
    ),
    Expectation(
        "SW-28",
        "an event with a short gap counts if the session that it falls into is open for longer",
        pipeline=_OWN_GAPS_NOW,
        timeline=script("a=20@10", "z=1@18", "a=3@9", "y=1@60"),
        demand=after([], [], ["late:0"], ["a[9,30)=2", "z[18,19)=1"]),
        because="Whether it is late is the session's word, not that of its own small span.",
    ),
    Expectation(
        "SW-29",
        "a session remembers the longest gap across the loss of the disk",
        pipeline=_OWN_GAPS_NOW,
        timeline=script("a=20@0 a=1@5", Restart(wipe_state=True), "a=1@20", "z=1@60"),
        demand=after([], [], [], ["a[0,21)=3"]),
        because="What an event asked for is part of the state, not of the event.",
    ),
    Expectation(
        "SW-30",
        "a session that never pauses is cut at its longest, and comes out there",
        pipeline=_cut(delay=0),
        timeline=script("a@0 a@9 a@18 a@27 a@36 a@45 a@54", "a@63 a@72", "z@200"),
        demand=after([], ["a[0,60)=7", "state:1"], ["a[63,82)=2"]),
        because="A robot's visit never ends: nobody would ever be told of it.",
    ),
    Expectation(
        "SW-31",
        "where a session is cut does not depend on the order of its events",
        pipeline=_cut(delay=70),
        timeline=script("a@63 a@54 a@9", "a@45 a@27 a@18", "a@36 a@0", "z@300"),
        demand=after([], [], [], ["a[0,60)=7", "a[63,73)=1"]),
        because="Cut so long after its first event, each earlier one that still comes would move every cut behind it.",
    ),
    Expectation(
        "SW-32",
        "what touches across a cut stays apart: an event exactly there begins the next session",
        pipeline=_cut(delay=20),
        timeline=script("a@59 a@60", "z@200"),
        demand=after(["state:2"], ["a[59,60)=1", "a[60,70)=1"]),
        because="Else whatever touches would make one session again of what was cut.",
    ),
    Expectation(
        "SW-33",
        "no event's own gap leads past the cut, not across the loss of the disk either",
        pipeline=Aggregate(Source(delay=s(0)), window=Session(VALUE, longest=s(60))),
        timeline=script("a=100@30", Restart(wipe_state=True), "b=1@59.5", "c=1@60"),
        demand=after([], [], [], ["a[30,60)=1", "b[59.5,60)=1"]),
        because="One broken gap must not keep a session open for a year.",
    ),
    Expectation(
        "SW-34",
        "what comes for a part that is over is late, though its visit goes on",
        pipeline=_cut(delay=0),
        timeline=script("a@55", "a@62", "a@57", "z@200"),
        demand=after([], ["a[55,60)=1"], ["late:1"], ["a[62,72)=1"]),
        because="A result that was final stays so: the part behind the cut is another session.",
    ),
]
