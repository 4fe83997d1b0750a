"""SSJ, from 28 on: semi and anti joins, bounds that are open or excluded, conditions, windowed joins.

Left time <= right time <= left time + 5 s, unless said; windows are of 10 s.
"""

from __future__ import annotations

from typing import Any

from semantics.expectation import Expectation, after, script
from semantics.expr import LEFT_VALUE, RIGHT_VALUE, expr
from semantics.pipeline import How, Join, Source, Tumbling
from semantics.time import s
from semantics.timeline import Restart


def _join(how: How = How.INNER, *, delay: float | None = 0, **pairing: Any) -> Join:
    inputs = (Source(name, delay=None if delay is None else s(delay)) for name in "LR")
    return Join(*inputs, how=how, **(pairing or {"lo": s(0), "hi": s(5)}))


def _where(how: How, left: Any, operator: str, right: Any) -> Join:
    return _join(how, lo=s(0), hi=s(5), where=expr(left, operator, right))


def _windowed(how: How, *, delay: float = 0) -> Join:
    return _join(how, delay=delay, window=Tumbling(s(10)))


EXPECTATIONS = [
    Expectation(
        "SSJ-28",
        "a semi join passes a left event once, however many partners it has",
        pipeline=_join(How.SEMI, delay=10),
        timeline=script("L:a=7@0", "R:a@1 R:a@2", "R:a@3"),
        demand=after([], ["a=7@0"], []),
        because="Which orders were paid is a list of orders, not of payments.",
    ),
    Expectation(
        "SSJ-29",
        "a semi join passes a left event at once where its partner is there already, and no other one",
        pipeline=_join(How.SEMI, delay=10),
        timeline=script("R:a@3 R:a@4", "L:a@0 L:b@0", "L:x@60", "R:y@60"),
        demand=after([], ["a@0"], [], []),
        because="Two topics have no common order, and absence is no answer of a semi join.",
    ),
    Expectation(
        "SSJ-30",
        "a left event waits for its partner in a semi join across the loss of the disk, and knows its value",
        pipeline=_join(How.SEMI, delay=10),
        timeline=script("L:a=7@0 L:b=8@0", Restart(wipe_state=True), "R:a@1"),
        demand=after([], [], ["a=7@0"]),
        because="What comes out later must be what came in.",
    ),
    Expectation(
        "SSJ-31",
        "an anti join passes a left event once the watermark is past its last possible partner, not at it",
        pipeline=_join(How.ANTI),
        timeline=script("L:a=7@0", "R:y@5", "L:x@5", "R:y@6", "L:x@6"),
        demand=after([], [], [], [], ["a=7@0"]),
        because="That something has not happened can be said only when it cannot happen any more.",
    ),
    Expectation(
        "SSJ-32",
        "an anti join is silent about a left event that had a partner",
        pipeline=_join(How.ANTI),
        timeline=script("L:a@0", "R:a@3", "R:b@4", "L:b@4", "L:x@60", "R:y@60"),
        demand=after([], [], [], [], [], []),
        because="A false alarm about a paid order costs a customer.",
    ),
    Expectation(
        "SSJ-33",
        "a null key has no partner: an anti join passes it",
        pipeline=_join(How.ANTI),
        timeline=script("L:~@0", "R:~@0", "L:x@60", "R:y@60"),
        demand=after([], [], [], ["~@0"]),
        because="Null is not equal to null: NOT EXISTS says so, and NOT IN surprises people.",
    ),
    Expectation(
        "SSJ-34",
        "a partner exactly at a bound that is excluded is none",
        pipeline=_join(delay=10, lo=s(0), hi=s(5), lo_exclusive=True, hi_exclusive=True),
        timeline=script("L:a@0", "R:a@0 R:a@0.000001 R:a@4.999999 R:a@5"),
        demand=after([], ["a(0,0.000001)", "a(0,4.999999)"]),
        because="Strictly after the click is another question than not before it.",
    ),
    Expectation(
        "SSJ-35",
        "with its upper bound excluded a left row is unmatched at the bound already",
        pipeline=_join(How.LEFT, lo=s(0), hi=s(5), hi_exclusive=True),
        timeline=script("L:a@0", "R:y@4.999", "L:x@4.999", "R:y@5", "L:x@5"),
        demand=after([], [], [], [], ["a(0,_)"]),
        because="Who waits for a partner that cannot come is late for nothing.",
    ),
    Expectation(
        "SSJ-36",
        "with its lower bound excluded a right row is unmatched at the bound already",
        pipeline=_join(How.RIGHT, lo=s(-5), hi=s(0), lo_exclusive=True),
        timeline=script("R:a@0", "L:y@4.999", "R:x@4.999", "L:y@5", "R:x@5"),
        demand=after([], [], [], [], ["a(_,0)"]),
        because="Each side has its own bound, and its own edge.",
    ),
    Expectation(
        "SSJ-37",
        "without an upper bound a left row waits for ever, and a right one does not",
        pipeline=_join(lo=s(0)),
        timeline=script("L:a@0 L:b@1", "R:b@1", "R:x@1000", "L:x@1000.001", "R:a@1001"),
        demand=after(["state:2"], ["b(1,1)"], [], ["state:4"], ["a(0,1001)"]),
        because="Once a customer, always a customer: state that grows with all there ever were.",
    ),
    Expectation(
        "SSJ-38",
        "without bounds and clocks every left of a key meets every right of it, whenever they come",
        pipeline=_join(delay=None, where=expr(1, "<=", 2)),
        timeline=script("L:a@0", "R:a@100000 R:b@5", "L:b@-100", "R:a@-7"),
        demand=after([], ["a(0,100000)"], ["b(-100,5)"], ["a(0,-7)"]),
        because="Easy to write, right, and never forgets a row: the state is the whole history.",
    ),
    Expectation(
        "SSJ-39",
        "without a lower bound all that was before a left row is its partner, however long ago",
        pipeline=_join(How.LEFT, hi=s(0)),
        timeline=script("R:a@0", "L:a@100 L:b@100", "R:y@100.5", "L:x@101"),
        demand=after([], ["a(100,0)"], [], ["b(100,_)"]),
        because="Everything that led to this sale has no horizon, but the sale itself need not wait.",
    ),
    Expectation(
        "SSJ-40",
        "a pair must fulfil the condition on both sides' values",
        pipeline=_join(delay=10, lo=s(0), hi=s(5), where=expr(LEFT_VALUE, "==", RIGHT_VALUE)),
        timeline=script("L:a=1@0 L:a=2@0", "R:a=2@1"),
        demand=after([], ["a(0#e2,1#e3)"]),
        because="The right amount, and not only the right account.",
    ),
    Expectation(
        "SSJ-41",
        "a partner that fails the condition is none: the left row comes out unmatched",
        pipeline=_where(How.LEFT, LEFT_VALUE, "<", RIGHT_VALUE),
        timeline=script("L:a=5@0", "R:a=3@1", "L:x@60", "R:y@60"),
        demand=after([], [], [], ["a(0,_)"]),
        because="A filter behind the join would lose this row; a condition in it must not.",
    ),
    Expectation(
        "SSJ-42",
        "a left row that fails the condition by itself comes out unmatched when all others do",
        pipeline=_where(How.LEFT, LEFT_VALUE, "!=", 0),
        timeline=script("L:a=0@0", "R:a@1", "R:y@5", "L:x@5", "R:y@6", "L:x@6"),
        demand=after([], [], [], [], [], ["a(0,_)"]),
        because="Spark emits this row at once: the same rows, in another order and in another step.",
    ),
    Expectation(
        "SSJ-43",
        "a right row that fails the condition by itself is no partner, and keeps no other one away",
        pipeline=_where(How.LEFT, RIGHT_VALUE, ">", 0),
        timeline=script("L:a@0", "R:a=0@1", "R:a=1@2", "L:x@60", "R:y@60"),
        demand=after([], [], ["a(0,2)"], [], []),
        because="Rows that are filtered on one side must not mark the other as matched.",
    ),
    Expectation(
        "SSJ-44",
        "in a full join both rows of a pair that fails the condition come out, each at its own bound",
        pipeline=_where(How.FULL, LEFT_VALUE, "!=", 0),
        timeline=script("L:a=0@0", "R:a@1", "R:y@2", "L:y@2", "R:y@60", "L:y@60"),
        demand=after([], [], [], ["a(_,1)", "y(2,2)"], [], ["a(0,_)", "y(60,60)"]),
        because="Nothing may be lost between two rows that do not fit.",
    ),
    Expectation(
        "SSJ-45",
        "a semi join waits for a partner that fulfils the condition",
        pipeline=_where(How.SEMI, RIGHT_VALUE, ">", LEFT_VALUE),
        timeline=script("L:a=5@0", "R:a=3@1", "R:a=7@2"),
        demand=after([], [], ["a=5@0"]),
        because="A bid that is outbid is another question than a bid that was answered.",
    ),
    Expectation(
        "SSJ-46",
        "a windowed join pairs what lies in one window, however close its neighbours are",
        pipeline=_windowed(How.INNER, delay=10),
        timeline=script("L:a@1 L:a@11", "R:a@9 R:a@10"),
        demand=after([], ["a(1,9)", "a(11,10)"]),
        because="One second apart over midnight is two days.",
    ),
    Expectation(
        "SSJ-47",
        "in a windowed join an unmatched left row comes out when its window is over",
        pipeline=_windowed(How.LEFT),
        timeline=script("L:a@1", "R:y@9.999", "L:x@9.999", "R:y@10", "L:x@10"),
        demand=after([], [], [], [], ["a(1,_)", "x(9.999,_)"]),
        because="A window is final at its end: what it joins is, too.",
    ),
    Expectation(
        "SSJ-48",
        "in a windowed join an event behind the watermark has its partner as long as the window is open",
        pipeline=_windowed(How.INNER),
        timeline=script("L:y@8", "R:x@8", "L:a@1", "R:a@2"),
        demand=after([], [], ["late:0"], ["a(1,2)", "late:0"]),
        because="Late is what a closed window would need: an interval join drops this pair, a windowed one has it.",
    ),
    Expectation(
        "SSJ-49",
        "in a windowed join an event whose window is over is late",
        pipeline=_windowed(How.LEFT),
        timeline=script("R:a@9", "R:y@10", "L:x@10", "L:a@9.999"),
        demand=after([], [], [], ["late:1"]),
        because="Neither a pair nor a null may follow a window that is final.",
    ),
    Expectation(
        "SSJ-50",
        "a windowed full join shows what is alone in its window, on either side",
        pipeline=_windowed(How.FULL),
        timeline=script("L:a@1 L:b@2", "R:b@3 R:a@12", "L:x@60", "R:y@60"),
        demand=after([], ["b(2,3)"], ["a(1,_)"], ["a(_,12)"]),
        because="A reconciliation lists both sides' orphans, period by period.",
    ),
    Expectation(
        "SSJ-51",
        "a windowed join forgets its rows when their window is over",
        pipeline=_windowed(How.INNER),
        timeline=script("L:a@1 L:a@2", "R:b@2", "R:y@10", "L:x@10"),
        demand=after(["state:2"], ["state:3"], [], ["state:2"]),
        because="Windows bound the state of a join as they bound that of a count.",
    ),
    Expectation(
        "SSJ-52",
        "a windowed join goes on after the loss of the disk, and closes on time",
        pipeline=_windowed(How.LEFT),
        timeline=script("L:a@1 L:b@2", Restart(wipe_state=True), "R:a@3", "R:y@10", "L:x@10"),
        demand=after([], [], ["a(1,3)"], [], ["b(2,_)"]),
        because="A half-joined window must come back with what was matched and what was not.",
    ),
    Expectation(
        "SSJ-53",
        "a left row that fulfils the condition by itself comes out unmatched like any other",
        pipeline=_where(How.LEFT, LEFT_VALUE, ">", 0),
        timeline=script("L:a@0", "R:y@60", "L:x@60"),
        demand=after([], [], ["a(0,_)", "state:2"]),
        because="Spark takes the number for a time, in 1970: no such row ever comes out, and none is forgotten.",
    ),
    Expectation(
        "SSJ-54",
        "on either side of a full join a condition on the value says nothing of time",
        pipeline=_where(How.FULL, RIGHT_VALUE, ">=", -7),
        timeline=script("R:a=-7@2", "L:a@3", "R:y@60", "L:x@60"),
        demand=after([], [], ["a(_,2)"], ["a(3,_)"]),
        because="What is a price and what an hour the names of the columns do not say.",
    ),
]
