"""CDC: the latest of each key by version, which is its event time. A change of value 0 deletes its key."""

from __future__ import annotations

from semantics.expectation import Expectation, after, script
from semantics.expr import VALUE, expr
from semantics.pipeline import Source, Upsert
from semantics.time import s
from semantics.timeline import Restart

_UPSERT = Upsert(Source(), gone=expr(VALUE, "==", 0))


def _clocked(delay: float) -> Upsert:
    return Upsert(Source(delay=s(delay)), gone=expr(VALUE, "==", 0))


EXPECTATIONS = [
    Expectation(
        "CDC-01",
        "a newer version of a key comes out, an older one does not, whenever they arrive",
        pipeline=_UPSERT,
        timeline=script("k=1@5", "k=2@3", "k=3@7"),
        demand=after(["k=1@5"], [], ["k=3@7"]),
        because="A guard by arrival lets an old address overwrite the new one.",
        core=True,
    ),
    Expectation(
        "CDC-02",
        "of versions of one time the last to arrive is the latest",
        pipeline=_UPSERT,
        timeline=script("k=1@5 k=2@5", "k=3@5", "k=4@4"),
        demand=after(["k=1@5", "k=2@5"], ["k=3@5"], []),
        because="Two changes in one tick of the clock are two changes: the second one is what holds.",
    ),
    Expectation(
        "CDC-03",
        "an older change after a deletion brings nothing back, a newer one does",
        pipeline=_UPSERT,
        timeline=script("k=1@1", "k=0@5", "k=2@4", "k=3@6"),
        demand=after(["k=1@1"], ["k=0@5"], [], ["k=3@6"]),
        because="A customer who was erased must not come back by a retry.",
    ),
    Expectation(
        "CDC-04",
        "within a batch the order of arrival decides nothing but ties",
        pipeline=_UPSERT,
        timeline=script("k=1@1 k=3@3 k=2@2 j=5@2", "j=4@1 k=4@4"),
        demand=after(["k=1@1", "k=3@3", "j=5@2"], ["k=4@4"]),
        because="A merge of one row a key and batch must take the latest, not the last.",
    ),
    Expectation(
        "CDC-05",
        "with a clock a deletion is forgotten, to the microsecond, when all that it keeps out would be late",
        pipeline=_clocked(delay=10),
        timeline=script("k=0@5", "z=1@15", "z=2@15.000001"),
        demand=after(["k=0@5", "state:1"], ["z=1@15", "state:2"], ["z=2@15.000001", "state:1"]),
        because="Tombstones for ever are a list of everybody who ever left.",
    ),
    Expectation(
        "CDC-06",
        "with a clock a version behind the watermark is late, known key or not; one exactly at it is not",
        pipeline=_clocked(delay=10),
        timeline=script("k=1@20", "j=1@9.999999", "j=2@10"),
        demand=after(["k=1@20"], ["late:1"], ["j=2@10", "late:0"]),
        because="Bounded memory has its price, and it must be counted.",
    ),
    Expectation(
        "CDC-07",
        "the version of a key survives the loss of the local disk",
        pipeline=_UPSERT,
        timeline=script("k=5@5 j=0@5", Restart(wipe_state=True), "k=4@4 j=4@4", "k=6@6 j=6@6"),
        demand=after(["k=5@5", "j=0@5"], [], [], ["k=6@6", "j=6@6"]),
        because="After a restart everything is sent again, in another order.",
    ),
    Expectation(
        "CDC-08",
        "without a clock every key stays, the deleted ones too, and the null key is one",
        pipeline=_UPSERT,
        timeline=script("~=1@5 a=0@1", "~=2@3 b=1@100", "a=1@0"),
        demand=after(["~=1@5", "a=0@1", "state:2"], ["b=1@100", "state:3"], ["state:3"]),
        because="To know for ever that something is gone costs as much as to have it.",
    ),
]
