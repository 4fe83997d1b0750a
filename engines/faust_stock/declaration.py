"""Declaration for plain Faust, on its behalf: every rule unlike the contract, with a source.

Each was seen on the versions below with Kafka before it was written down; the source says why it is so.
"""

from __future__ import annotations

import platform
from datetime import timedelta
from importlib import metadata

from engines.contract import Capability, Declaration, Override, Support
from semantics.pipeline import (
    Absence,
    Aggregate,
    Dedup,
    Emit,
    Hopping,
    Join,
    Lookup,
    Pipeline,
    Session,
    Source,
    Tumbling,
    Upsert,
    flat,
    nodes,
    rekeyed,
)
from semantics.rules import BadRecord, Close, LateCount, NullTime, RecoveredState, Rules, Sink
from semantics.time import us

PINNED = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0", "rocksdict": "0.3.29"}
VARIANTS = {
    "": "as shipped: processing_guarantee=at_least_once",
    "eos": "processing_guarantee=exactly_once, which is not what it says",
}
_REPOSITORY = "https://github.com/faust-streaming/faust"
_SOURCE = f"{_REPOSITORY}/blob/v0.15.3/faust"
_NO_CRASH_BECAUSE = (
    "What follows a kill is chance, so that no script can say what is right: recovery lets input flow before it seeks "
    f"to what is committed ({_SOURCE}/tables/recovery.py: Recovery.on_recovery_completed resumes partitions and then "
    "calls Consumer.perform_seek). What was read in between is processed twice, or acknowledged without having been "
    "processed (Stream._py_aiter skips it), or never committed. `python -m bench soak --engine faust-stock` counts"
)
NO_SCALING = Capability(Support.NOT_IMPLEMENTED, "workers that come and go are not written for plain Faust yet")
_COMMON = {
    "window_close": f"{_SOURCE}/tables/base.py: Collection._apply_window_op writes to every window of an event, "
    "however old; Collection._del_old_keys, which forgets where `expires` is set, asks time.time() and no event",
    "bad_record": f"{_SOURCE}/channels.py: Channel.on_value_decode_error throws into the agent, whose stream "
    f"acknowledges the message all the same; {_REPOSITORY}/issues/527: no dead letters, the record is skipped",
    "null_time": f"{_SOURCE}/streams.py: Stream._py_aiter acknowledges an event whatever its agent raises, and a "
    "time that is null can be compared with none",
    "late_count": f"{_SOURCE}/sensors/monitor.py counts events, commits and Table operations, and nothing late: there "
    "is no lateness",
}
_AT_LEAST_ONCE = {
    "recovered_state": f"{_SOURCE}/stores/rocksdb.py: Store._set puts at once, and {_SOURCE}/tables/base.py: "
    "Collection.send_changelog sends at once, both before the offset is committed; recovery undoes nothing",
    "sink": f"{_SOURCE}/transport/consumer.py: Consumer._commit_offsets commits on a timer, after the output was sent",
}
_EXACTLY_ONCE = {
    "recovered_state": f"{_SOURCE}/stores/rocksdb.py: Store._set puts at once, outside the transaction, so a kill "
    "leaves it; recovery overwrites only the keys that the changelog holds beyond what the last recovery read. "
    f"{_SOURCE}/transport/drivers/aiokafka.py: AIOKafkaConsumerThread._highwaters asks last_stable_offset, which is "
    "unknown before the first fetch: then recovery ends before it began",
    "sink": f"{_SOURCE}/transport/consumer.py: TransactionManager.send finds the transaction by the partition of a "
    "topic that the app itself consumes, so output to any other topic is in none; "
    f"{_REPOSITORY}/issues/177, {_REPOSITORY}/issues/517",
}
_REMEDIES = {
    "sink": "deduplicate downstream, by an id that the input carries",
    "recovered_state": "keep the input's offset in the row, and ignore what is not above it",
}


def missing() -> str:
    """Return which library is absent or of another version, with the remedy; empty if none."""
    for name, wanted in PINNED.items():
        if (found := _version(name)) != wanted:
            return f"{name} is {found}, not {wanted}; `make setup` installs what the lock says."
    return ""


def guarantee(variant: str) -> str:
    """Return Faust's `processing_guarantee` of a variant."""
    return "exactly_once" if variant == "eos" else "at_least_once"


def declaration(variant: str) -> Declaration:
    """Return the declaration of a variant."""
    eos = variant == "eos"
    sources = _COMMON | (_EXACTLY_ONCE if eos else _AT_LEAST_ONCE)
    return Declaration(
        engine="faust-stock",
        title=f"Faust (as shipped{', exactly_once' if eos else ''})",
        versions={name: _version(name) for name in PINNED} | {"python": platform.python_version()},
        rules=Rules(
            window_close=Close.NEVER,
            bad_record=BadRecord.DROP_SILENTLY,
            null_time=NullTime.DROP_SILENTLY,
            late_count=LateCount.NONE,
            recovered_state=RecoveredState.BY_CHANCE if eos else RecoveredState.AHEAD,
            sink=Sink.AT_LEAST_ONCE,
        ),
        overrides=tuple(Override(rule=r, source=s, remedy=_REMEDIES.get(r, "")) for r, s in sources.items()),
        capability=capability,
        crash_points=frozenset(),
        no_crash_because=_NO_CRASH_BECAUSE,
        scaling=NO_SCALING,
        takeover=NO_SCALING,
    )


def capability(pipeline: Pipeline, partitions: int) -> Capability:
    """Say how a pipeline would be run."""
    lacking = next(filter(None, map(_lacking, nodes(pipeline))), "")
    if lacking:
        return Capability(Support.UNSUPPORTED, lacking)
    if not flat(pipeline):
        return Capability(Support.NOT_IMPLEMENTED, "agents that feed each other through topics are not written yet")
    if rekeyed(pipeline) and partitions > 1:
        return Capability(Support.NOT_IMPLEMENTED, "re-keying by group_by through an internal topic comes later")
    return Capability(Support.NATIVE)


def _lacking(node: Pipeline) -> str:
    """Return why Faust has no such operator; empty if it has."""
    match node:
        case Join():
            return f"Joins are declared and not written: {_SOURCE}/joins.py: Join.process raises"
        case (
            Source(late_output=True)
            | Source(future=timedelta())
            | Source(idle_after=timedelta())
            | Upsert()
            | Absence()
            | Lookup()
        ):
            return f"Nothing asks for event time: there is no watermark ({_SOURCE}/tables/base.py: time.time())"
        case Aggregate(ttl=timedelta()):
            return f"What a Table keeps expires by the wall clock ({_SOURCE}/tables/base.py: Collection._del_old_keys)"
        case Dedup():
            return (
                f"No operator forgets an id by event time: a Table keeps it for ever, or until the wall clock says so "
                f"({_SOURCE}/tables/base.py: Collection._del_old_keys)"
            )
        case Aggregate(window=Session()):
            return f"Windows are tumbling, hopping or sliding ({_SOURCE}/windows.py), never sessions"
        case Aggregate(emit=Emit.FINAL):
            return (
                "There is no watermark, and so no final result: windows close by the wall clock "
                f"({_SOURCE}/tables/base.py: Collection._del_old_keys asks time.time())"
            )
        case Aggregate(window=Tumbling() | Hopping() as window) if not _fits(window):
            return (
                "A window has neither offset nor grace, its times are whole seconds, and hopping windows are aligned "
                f"only where the slide divides the size ({_SOURCE}/windows.py: HoppingWindow.ranges)"
            )
        case _:
            return ""


def _fits(window: Tumbling | Hopping) -> bool:
    size_us, second_us = us(window.size), 1_000_000
    slide_us = us(window.slide) if isinstance(window, Hopping) else size_us
    whole = size_us % second_us == slide_us % second_us == size_us % slide_us == 0
    return whole and not us(window.offset) and not us(window.grace)


def _version(name: str) -> str:
    """Return the version that is installed; a recorded run can be judged without any."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{PINNED[name]} (not installed)"
