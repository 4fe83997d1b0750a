"""SW: session windows. The gap is 10 s throughout."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.pipeline import Aggregate, Emit, Function, Session, Source
from semantics.time import s
from semantics.timeline import Flush, Restart


def _count(delay: float) -> Aggregate:
    return Aggregate(Source(delay=s(delay)), window=Session(s(10)))


_GRACE = Aggregate(Source(delay=s(0)), window=Session(s(10), grace=s(5)))

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
        because="Surprising, and common to all engines: a final result is never corrected, so sessions can overlap.",
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
        because="Spark refuses it: who must see a session while it runs, needs another engine.",
    ),
    Expectation(
        "SW-22",
        "whether a session is over is decided by its own partition's clock",
        pipeline=_count(delay=0),
        timeline=script("b@5/1", "a@100/0", "a@80/0", Flush(300_000_000)),
        demand=after([], [], ["late:1"], ["a[100,110)=1", "b[5,15)=1"]),
        because="Keys of one partition must not wait for those of another.",
    ),
]
