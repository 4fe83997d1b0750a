"""ST, from 12 on: running state that expires, and timers of event time: a row when a key is silent. Both after 10 s."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.pipeline import Absence, Aggregate, Emit, Function, Source, Timer
from semantics.time import s
from semantics.timeline import Idle, Restart

_TTL = Aggregate(Source(delay=s(0)), emit=Emit.UPDATE, ttl=s(10))
_SILENT = Absence(Source(delay=s(0)), after=s(10))

_PATIENCE = s(4)
"""Half of it is longer than any step of a script takes, so that no timer fires before it is asked for."""
_LISTENING = Absence(Source(), after=_PATIENCE, timer=Timer.PROCESSING_TIME)

EXPECTATIONS = [
    Expectation(
        "ST-12",
        "a key without events for longer than the ttl, to the microsecond, begins anew",
        pipeline=_TTL,
        timeline=script("a@0", "a@10", "z@20", "z@20.000001", "a@21"),
        demand=after(["a=1"], ["a=2"], ["z=1", "state:2"], ["z=2", "state:1"], ["a=1"]),
        because="Running state without an end is a leak; with one, an old customer is a new one: say so.",
    ),
    Expectation(
        "ST-13",
        "an event out of order neither shortens nor prolongs a key's life",
        pipeline=_TTL,
        timeline=script("a@10", "a@5", "z@20", "a@20"),
        demand=after(["a=1"], ["a=2"], ["z=1"], ["a=3"]),
        because="The latest event says how long: not the last one to arrive.",
    ),
    Expectation(
        "ST-14",
        "an event older than the ttl counts by itself, and is forgotten at once",
        pipeline=_TTL,
        timeline=script("z@100", "a@1", "a@2"),
        demand=after(["z=1"], ["a=1", "late:0", "state:1"], ["a=1", "state:1"]),
        because="Running aggregates know no late; but neither may one old event live for ever.",
    ),
    Expectation(
        "ST-15",
        "what was counted before the disk was lost expires after it, on time to the microsecond",
        pipeline=Aggregate(Source(delay=s(0)), (Function.SUM, Function.AVG), emit=Emit.UPDATE, ttl=s(10)),
        timeline=script("a=2@0 b=3@4", Restart(wipe_state=True), "b=4@10.000001", "a=5@11"),
        demand=after(["a{sum=2 avg=2}", "b{sum=3 avg=3}"], [], ["b{sum=7 avg=3.5}", "state:1"], ["a{sum=5 avg=5}"]),
        because="State that a restart turns immortal is found months later.",
    ),
    Expectation(
        "ST-16",
        "a key is silent when the watermark reaches its latest event and the time that was given",
        pipeline=_SILENT,
        timeline=script("a=7@0", "b@9.999999", "b@10", "b@11"),
        demand=after([], [], ["a=7@10"], []),
        because="A machine that says nothing is the one to look at: once, and on time.",
    ),
    Expectation(
        "ST-17",
        "each event of a key begins its time anew",
        pipeline=_SILENT,
        timeline=script("a@0", "a@9", "z@10", "z@19"),
        demand=after([], [], [], ["a@19"]),
        because="A heartbeat resets the alarm, or it is no heartbeat.",
    ),
    Expectation(
        "ST-18",
        "an older event that arrives later does not set the timer back",
        pipeline=Absence(Source(delay=s(10)), after=s(10)),
        timeline=script("a=1@5 a=2@3", "z@23", "z@25"),
        demand=after([], [], ["a=1@15"]),
        because="Otherwise reports out of order raise alarms about machines that work.",
    ),
    Expectation(
        "ST-19",
        "a key that was silent is forgotten, and can be silent again",
        pipeline=_SILENT,
        timeline=script("a=1@0", "z@10", "a=2@11", "z@21"),
        demand=after([], ["a=1@10", "state:1"], [], ["a=2@21", "state:1"]),
        because="One alarm for each silence, and no memory of the silent ones.",
    ),
    Expectation(
        "ST-20",
        "a late event does not break a silence, nor begin one",
        pipeline=_SILENT,
        timeline=script("a=1@0", "z@9", "a=2@8", "z@10", "z@18"),
        demand=after([], [], ["late:1"], ["a=1@10"], []),
        because="What the clock has passed is dealt with: an alarm must not hang on the network.",
    ),
    Expectation(
        "ST-21",
        "a timer fires on time after the loss of the local disk",
        pipeline=_SILENT,
        timeline=script("a=1@0 b=2@5", Restart(wipe_state=True), "z@10", "z@15"),
        demand=after([], [], ["a=1@10"], ["b=2@15"]),
        because="Timers that a restart forgets are alarms that never come.",
    ),
    Expectation(
        "ST-22",
        "by processing time a key is silent that long after its latest event has come, whatever its time",
        pipeline=_LISTENING,
        timeline=script("a=7@100 b@5", "b=2@1", Idle(_PATIENCE), "a@3"),
        demand=after(["state:2"], ["state:2"], ["a=7@100", "b=2@1", "state:0"], ["state:1"]),
        because="Event time stands still when all machines are silent: only the clock on the wall sees that.",
    ),
    Expectation(
        "ST-23",
        "each event that comes begins a key's time anew, and once is enough",
        pipeline=_LISTENING,
        timeline=script("a@1 b@1", Idle(_PATIENCE / 2), "a@2", Idle(_PATIENCE / 2), Idle(_PATIENCE / 2)),
        demand=after([], [], [], ["b@1"], ["a@2", "state:0"]),
        because="A heartbeat resets the alarm, by whichever clock.",
    ),
    Expectation(
        "ST-24",
        "a timer of processing time that was set before the disk was lost fires on time, once",
        pipeline=_LISTENING,
        timeline=script("a=7@0 b@~", Restart(wipe_state=True), Idle(_PATIENCE), Restart(), Idle(_PATIENCE)),
        demand=after([], [], ["a=7@0", "b@~"], [], ["state:0"]),
        because="An alarm that a deployment forgets is the one that was needed.",
    ),
    Expectation(
        "ST-25",
        "after a restart a timer of processing time waits for no event of another key",
        pipeline=_LISTENING,
        timeline=script("a=7@0", Restart(), Idle(_PATIENCE), "b@1"),
        demand=after([], [], ["a=7@0"], ["state:1"]),
        because="When all machines have died there is nobody left to wake the one who should say so.",
    ),
]
