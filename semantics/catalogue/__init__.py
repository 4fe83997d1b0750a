"""The expectations, one file a family. Every entry is a value; adding one is adding it to its file's list."""

from __future__ import annotations

from functools import cache

from semantics.catalogue import (
    chain,
    dedup,
    exactly_once,
    functions,
    guards,
    join,
    join_kinds,
    latest,
    lookup,
    rekey,
    schema,
    session,
    state,
    timers,
    tumbling,
    watermark,
)
from semantics.errors import UnknownName, did_you_mean
from semantics.expectation import Expectation

FAMILIES = {
    "WM": "watermark and lateness",
    "TW": "tumbling and hopping windows",
    "SW": "session windows",
    "AG": "aggregate functions",
    "SSJ": "stream-stream joins",
    "DD": "deduplication",
    "LJ": "lookups in a table of versions",
    "CDC": "the latest by version",
    "CH": "operators that feed operators, unions, clocks",
    "NK": "new keys over several partitions",
    "ST": "state",
    "EO": "exactly once under faults",
    "SCH": "records that cannot be used",
}


@cache
def all_expectations() -> tuple[Expectation, ...]:
    """Return the whole catalogue, family by family."""
    windows = watermark, guards, tumbling, session, functions
    others = join, join_kinds, dedup, lookup, latest, chain, rekey, state, timers, exactly_once, schema
    return tuple(expectation for file in windows + others for expectation in file.EXPECTATIONS)


def find(id: str) -> Expectation:
    """Return the expectation with this id. Raises `UnknownName`."""
    by_id = {expectation.id: expectation for expectation in all_expectations()}
    if id not in by_id:
        raise UnknownName(f"No expectation {id!r}.{did_you_mean(id, by_id)}")
    return by_id[id]
