"""SCH: records that no producer of ours would send. What can be used counts; what cannot is a dead letter.

Raw times are microseconds since 1970; `_T1` is one second after T0.
"""

from __future__ import annotations

from semantics.expectation import Expectation, after, raw, script
from semantics.expr import VALUE, expr
from semantics.pipeline import Aggregate, Emit, Filter, Function, Source, Tumbling
from semantics.time import T0_US, s
from semantics.timeline import Restart

_COUNT = Aggregate(Source(delay=s(0)), window=Tumbling(s(10)))
_RUNNING = Aggregate(Source(), emit=Emit.UPDATE)
_T1 = b"%d" % (T0_US + 1_000_000)
_NO_INTEGER = (b'"many"', b"true", b"1.5", b"9223372036854775808")
_TORN = b'{"k":"a","i":"x","v":'
_GOOD = b'{"k":"a","i":"x","v":1,"t":%s}' % _T1
_LATIN_1 = b'{"k":"caf\xe9","i":"x","v":1,"t":%s}' % _T1
_NESTED = b'{"k":"a","i":"x","v":1,"t":%s,"z":' % _T1 + b"[" * 2000

EXPECTATIONS = [
    Expectation(
        "SCH-01",
        "a record that is torn off is a dead letter, and the stream goes on",
        pipeline=_COUNT,
        timeline=script("a@1", raw(_TORN), "a@2", "z@60"),
        demand=after([], ["dead:bad_record"], [], ["a[0,10)=2"]),
        because="One bad record must not stop the good ones, nor vanish without a trace.",
        core=True,
    ),
    Expectation(
        "SCH-02",
        "whatever else stands where a record should be is a dead letter, each one",
        pipeline=_COUNT,
        timeline=script(raw(b"", b"null", b"7", b"[]", b"\xff\xfe", b"not json"), "a@1", "z@60"),
        demand=after(["dead:6*bad_record"], [], ["a[0,10)=1"]),
        because="Topics hold what was once sent by mistake, for as long as they are kept.",
        core=True,
    ),
    Expectation(
        "SCH-03",
        "a value that is no integer, or none of 64 bits, is a dead letter, not a null",
        pipeline=_COUNT,
        timeline=script(raw(*(b'{"k":"a","i":"x","v":%s,"t":%s}' % (v, _T1) for v in _NO_INTEGER)), "a@2", "z@60"),
        demand=after(["dead:4*bad_record"], [], ["a[0,10)=1"]),
        because="A number that silently turns into nothing is a wrong total that nobody can trace.",
        core=True,
    ),
    Expectation(
        "SCH-04",
        "a time that is no whole number is a dead letter",
        pipeline=_COUNT,
        timeline=script(
            raw(b'{"k":"a","i":"x","v":1,"t":"yesterday"}', b'{"k":"a","i":"x","v":1,"t":1.5}'), "a@2", "z@60"
        ),
        demand=after(["dead:2*bad_record"], [], ["a[0,10)=1"]),
        because="An event whose time is guessed is counted in the wrong hour.",
    ),
    Expectation(
        "SCH-05",
        "a record without its value is a dead letter",
        pipeline=_COUNT,
        timeline=script(raw(b'{"k":"a","i":"x","t":%s}' % _T1, b'{"k":"a","i":"x","v":null,"t":%s}' % _T1), "z@60"),
        demand=after(["dead:2*bad_record"], []),
        because="A producer that renames a field must be noticed by the first record, not by the month's report.",
    ),
    Expectation(
        "SCH-06",
        "fields that nobody asked for are ignored",
        pipeline=_COUNT,
        timeline=script(raw(b'{"new":{"deep":[1,null]},"k":"a","i":"x","v":1,"t":%s,"z":"~"}' % _T1), "z@60"),
        demand=after(["dead:0"], ["a[0,10)=1"]),
        because="Producers add fields first: consumers must live with that.",
    ),
    Expectation(
        "SCH-07",
        "a key that is left out is null",
        pipeline=_COUNT,
        timeline=script(raw(b'{"v":1,"t":%s}' % _T1), "~@2 a@3", "z@60"),
        demand=after(["dead:0"], [], ["~[0,10)=2", "a[0,10)=1"]),
        because="Left out and null are the same, or every producer's library decides the grouping.",
    ),
    Expectation(
        "SCH-08",
        "integers are exact over the whole range of 64 bits",
        pipeline=Aggregate(Source(delay=s(0)), (Function.MIN, Function.MAX), window=Tumbling(s(10))),
        timeline=script("a=9223372036854775807@1 a=-9223372036854775808@2 b=9007199254740993@3", "z@60"),
        demand=after(
            [],
            [
                "a[0,10){min=-9223372036854775808 max=9223372036854775807}",
                "b[0,10){min=9007199254740993 max=9007199254740993}",
            ],
        ),
        because="Account numbers beyond 2 to the 53rd lose their last digit wherever JSON numbers become floats.",
        core=True,
    ),
    Expectation(
        "SCH-09",
        "a record that cannot be used does not move time",
        pipeline=_COUNT,
        timeline=script("a@1", raw(b'{"k":"a","i":"x","v":[],"t":%d}' % (T0_US + 100_000_000)), "a@2", "z@60"),
        demand=after(["wm:1"], ["dead:bad_record", "wm:1"], ["late:0"], ["a[0,10)=2"]),
        because="A record that is not believed must not be believed about the time either.",
    ),
    Expectation(
        "SCH-10",
        "where events only pass through, a record that cannot be used is a dead letter",
        pipeline=Filter(Source(), expr(VALUE, ">", 0)),
        timeline=script("a@1", raw(_TORN), "a@2"),
        demand=after(["a@1"], ["dead:bad_record"], ["a@2"]),
        because="Without state nothing fails later: bad records are found here or never.",
    ),
    Expectation(
        "SCH-11",
        "a running count makes a dead letter of what it cannot read, and does not count it",
        pipeline=_RUNNING,
        timeline=script("a@1 ~@1", raw(_TORN), "a@2 ~@2"),
        demand=after(["a=1", "~=1"], ["dead:bad_record"], ["a=2", "~=2"]),
        because="A reader that turns garbage into nulls counts it under the null key.",
    ),
    Expectation(
        "SCH-12",
        "a record that cannot be used is a dead letter once, and not again after a restart",
        pipeline=_COUNT,
        timeline=script("a@1", raw(_TORN), Restart(), "a@2", "z@60"),
        demand=after([], ["dead:bad_record"], [], ["dead:0"], ["a[0,10)=2", "dead:0"]),
        because="A poison record that is met again at every start stops the job for good.",
        core=True,
    ),
    Expectation(
        "SCH-13",
        "a record whose key is not UTF-8 is a dead letter, and the records beside it count",
        pipeline=_COUNT,
        timeline=script(raw(_GOOD, _LATIN_1, _GOOD), "a@2", "z@60"),
        demand=after(["dead:bad_record"], [], ["a[0,10)=3", "dead:0"]),
        because="One producer that writes Latin-1 must not stop the consumer of all others.",
    ),
    Expectation(
        "SCH-14",
        "brackets nested without an end are a dead letter, and the records beside them count",
        pipeline=_RUNNING,
        timeline=script(raw(_GOOD, _NESTED, _GOOD), "a@2"),
        demand=after(["a=2", "dead:bad_record"], ["a=3", "dead:0"]),
        because="A parser that recurses for each bracket runs out of stack: the record must end there, not the job.",
    ),
]
