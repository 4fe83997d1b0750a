"""What can be wrong with a checkpoint, and what Spark does about it: the cases that `engines/spark/damage.py` plays."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from semantics.expr import ID, VALUE, expr
from semantics.pipeline import Aggregate, Dedup, Emit, Filter, Function, How, Join, KeyBy, Pipeline, Session, Source
from semantics.pipeline import Tumbling as Window
from semantics.time import s

_CLOCKED = Source(delay=s(0))
_SIDES = Source("L", delay=s(0)), Source("R", delay=s(0))
RUNNING = Aggregate(Source(), emit=Emit.UPDATE)
THREE = ("a@1 b@1", "a@2 b@2", "a@3 b@3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One harm. `right`: what the last step shows if nothing was harmed; `seen`: what it shows."""

    says: str
    harm: Callable[[Path], None] = lambda _: None
    pipeline: Pipeline = RUNNING
    changed: Pipeline | None = None
    """The query that comes over the old checkpoint."""
    before: tuple[str, ...] = THREE
    last: str = "a@4 b@4"
    right: str = "a=4 b=4"
    seen: str


def _remove(*names: str) -> Callable[[Path], None]:
    def harm(checkpoint: Path) -> None:
        for name in names:
            found = list(checkpoint.glob(name))
            assert found, f"{checkpoint} has no {name}"
            for path in found:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
                    path.with_name(f".{path.name}.crc").unlink(missing_ok=True)

    return harm


def _edit(name: str, change: Callable[[bytes], bytes], *, checksum: bool = False) -> Callable[[Path], None]:
    """`checksum`: leave Hadoop's checksum of the old contents beside it, as a disk's decay would."""

    def harm(checkpoint: Path) -> None:
        path = checkpoint / name
        old = path.read_bytes()
        new = change(old)
        assert new != old, f"{path}: {old!r}"
        path.write_bytes(new)
        if not checksum:
            path.with_name(f".{path.name}.crc").unlink(missing_ok=True)

    return harm


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    """Flip a bit of the key, which stands there as it is: in what is compressed it may mean nothing."""
    at = data.index(b"a", len("LZ4Block"))
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _set_back(data: bytes) -> bytes:
    """Change the position of a plan from 6 to 4."""
    return re.sub(rb'("0":)6', rb"\g<1>4", data)


CASES: Mapping[str, Case] = {
    # Commits.
    "commit_last": Case(says="the last commit is missing", harm=_remove("commits/2"), seen="a=3 a=4 b=3 b=4"),
    "commits_all": Case(says="all commits are missing", harm=_remove("commits/*"), seen="a=3 a=4 b=3 b=4"),
    "commit_empty": Case(
        says="the last commit is empty",
        harm=_edit("commits/2", lambda _: b""),
        seen="Failed to read log file commits/2. Incomplete log file in the offset commit log",
    ),
    "commit_half": Case(
        says="the last commit is cut in half",
        harm=_edit("commits/2", _half),
        seen="Unexpected end-of-input in field name",
    ),
    # Plans.
    "plan_last": Case(
        says="the last plan and commit are missing",
        harm=_remove("offsets/2", "commits/2"),
        pipeline=Source(),
        right="a#e1@4 b#e2@4",
        seen="a#e1@3 a#e1@4 b#e2@3 b#e2@4",
    ),
    "plan_only": Case(
        says="the last plan is missing, its commit is there",
        harm=_remove("offsets/2"),
        seen="CONCURRENT_STREAM_LOG_UPDATE, after a=2 b=2",
    ),
    "plan_middle": Case(
        says="a plan in the middle is missing", harm=_remove("offsets/1"), seen="batch 1 doesn't exist"
    ),
    "plans_all": Case(says="all plans are missing", harm=_remove("offsets/*"), seen="assertion failed"),
    "plan_empty": Case(
        says="the last plan is empty",
        harm=_edit("offsets/2", lambda _: b""),
        seen="Failed to read log file offsets/2. Incomplete log file",
    ),
    "plan_half": Case(
        says="the last plan is cut in half",
        harm=_edit("offsets/2", _half),
        seen="Unexpected end-of-input in field name",
    ),
    "plan_back": Case(says="the last plan names a lower offset", harm=_edit("offsets/2", _set_back), seen="a=5 b=5"),
    "plan_decay": Case(
        says="the same, with the checksum of the old contents beside it",
        harm=_edit("offsets/2", _set_back, checksum=True),
        seen="Checksum error: offsets/2",
    ),
    # The query's name.
    "metadata": Case(
        says="the query's id is missing", harm=_remove("metadata"), seen="STREAMING_CHECKPOINT_MISSING_METADATA_FILE"
    ),
    "metadata_empty": Case(
        says="the query's id is empty",
        harm=_edit("metadata", lambda _: b""),
        seen="com.fasterxml.jackson.databind.exc.MismatchedInputException: No content to map due to end-of-input",
    ),
    "sources": Case(says="the offsets at which it began are missing", harm=_remove("sources"), seen="a=4 b=4"),
    # State.
    "state": Case(
        says="all state is missing", harm=_remove("state"), seen="STREAMING_STATEFUL_OPERATOR_MISSING_STATE_DIRECTORY"
    ),
    "state_partition": Case(
        says="a partition of the state is missing",
        harm=_remove("state/0/0"),
        seen="CANNOT_LOAD_STATE_STORE.CANNOT_READ_STREAMING_STATE_FILE",
    ),
    "state_schema": Case(says="the state's schema is missing", harm=_remove("state/0/0/_metadata"), seen="a=4 b=4"),
    "changelog_last": Case(
        says="the last changelog is missing",
        harm=_remove("state/0/0/3.changelog"),
        seen="CANNOT_LOAD_STATE_STORE.CANNOT_READ_STREAMING_STATE_FILE",
    ),
    "changelog_first": Case(
        says="the first changelog is missing",
        harm=_remove("state/0/0/1.changelog"),
        seen="CANNOT_LOAD_STATE_STORE.CANNOT_READ_STREAMING_STATE_FILE",
    ),
    "changelog_half": Case(
        says="the last changelog is cut in half",
        harm=_edit("state/0/0/3.changelog", _half),
        seen="CANNOT_LOAD_STATE_STORE.UNCATEGORIZED",
    ),
    "changelog_flip": Case(
        says="a bit of the last changelog is flipped",
        harm=_edit("state/0/0/3.changelog", _flip),
        seen="CANNOT_LOAD_STATE_STORE.UNCATEGORIZED",
    ),
    "changelog_decay": Case(
        says="the same, with the checksum of the old contents beside it",
        harm=_edit("state/0/0/3.changelog", _flip, checksum=True),
        seen="CANNOT_LOAD_STATE_STORE.UNCATEGORIZED",
    ),
    # All of it.
    "wiped": Case(
        says="the whole checkpoint is missing, the sink's topic is not",
        harm=_remove("*"),
        pipeline=Source(),
        right="a#e1@4 b#e2@4",
        seen="a#e1@1 a#e1@2 a#e1@3 a#e1@4 b#e2@1 b#e2@2 b#e2@3 b#e2@4",
    ),
    # Another query.
    "more_functions": Case(
        says="one more aggregate",
        changed=Aggregate(Source(), (Function.COUNT, Function.SUM), emit=Emit.UPDATE),
        right="a{n=4 sum=4} b{n=4 sum=4}",
        seen="STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE",
    ),
    "sum": Case(
        says="another aggregate of another type (count, then sum)",
        changed=Aggregate(Source(), (Function.SUM,), emit=Emit.UPDATE),
        right="a{sum=4} b{sum=4}",
        seen="STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE",
    ),
    "max": Case(
        says="another aggregate of the same type (min, then max)",
        pipeline=Aggregate(Source(), (Function.MIN,), emit=Emit.UPDATE),
        changed=Aggregate(Source(), (Function.MAX,), emit=Emit.UPDATE),
        before=("a=5@1", "a=3@2"),
        last="a=1@3",
        right="a{max=5}",
        seen="a=3",
    ),
    "other_key": Case(
        says="another key of the same type (key, then id)",
        changed=Aggregate(KeyBy(Source(), ID), emit=Emit.UPDATE),
        last="x#a@4",
        right="a=1",
        seen="a=4",
    ),
    "filter": Case(
        says="a filter before the aggregate",
        changed=Aggregate(Filter(Source(), expr(VALUE, ">", 5)), emit=Emit.UPDATE),
        last="a=7@4 b@4",
        right="a=1",
        seen="a=4",
    ),
    "window_size": Case(
        says="windows of 20 s instead of 10 s, with one open",
        pipeline=Aggregate(_CLOCKED, window=Window(s(10))),
        changed=Aggregate(_CLOCKED, window=Window(s(20))),
        before=("a@1", "a@2"),
        last="a@3 z@60",
        right="a[0,20)=3",
        seen="a[0,10)=2 a[0,20)=1",
    ),
    "window_dropped": Case(
        says="no windows any more",
        pipeline=Aggregate(_CLOCKED, window=Window(s(10))),
        changed=RUNNING,
        before=("a@1", "a@2"),
        last="a@3",
        right="a=3",
        seen="STATE_STORE_KEY_SCHEMA_NOT_COMPATIBLE",
    ),
    "session_gap": Case(
        says="a session gap of 30 s instead of 10 s, with one open",
        pipeline=Aggregate(_CLOCKED, window=Session(s(10))),
        changed=Aggregate(_CLOCKED, window=Session(s(30))),
        before=("a@1", "a@2"),
        last="a@14 z@90",
        right="a[1,44)=3",
        seen="a[1,12)=2 a[14,44)=1",
    ),
    "join_bound": Case(
        says="a join reaches 50 s instead of 5 s, its row was given up already",
        pipeline=Join(*_SIDES, lo=s(0), hi=s(5), how=How.LEFT),
        changed=Join(*_SIDES, lo=s(0), hi=s(50), how=How.LEFT),
        before=("L:a@1 L:x@20", "R:x@20"),
        last="R:a@30",
        right="a(1,30)",
        seen="nothing",
    ),
    "delay": Case(
        says="a delay of 60 s instead of none, after the clock was at 20",
        pipeline=Aggregate(_CLOCKED, window=Window(s(10))),
        changed=Aggregate(Source(delay=s(60)), window=Window(s(10))),
        before=("a@1", "z@20"),
        last="b@2 z@100",
        right="b[0,10)=1 z[20,30)=1",
        seen="z[20,30)=1",
    ),
    "other_operator": Case(
        says="another operator (an aggregate, then a dedup)",
        changed=Dedup(Source(delay=s(10)), horizon=s(10)),
        right="a#e1@4 b#e2@4",
        seen="STREAMING_STATEFUL_OPERATOR_NOT_MATCH_IN_STATE_METADATA",
    ),
    "stateless": Case(
        says="no stateful operator any more",
        changed=Source(),
        right="a#e1@4 b#e2@4",
        seen="STREAMING_STATEFUL_OPERATOR_NOT_MATCH_IN_STATE_METADATA",
    ),
}


TOKENS: Mapping[str, Case] = {
    "commit_last": replace(CASES["commit_last"], seen="a=4 b=4"),
    "plan_last": replace(CASES["plan_last"], seen="nothing"),
    "wiped": replace(CASES["wiped"], seen="a#e1@1 a#e1@2 a#e1@3 a#e1@4 b#e2@1 b#e2@2 b#e2@3 b#e2@4"),
}
"""The same harms where a token in the sink remembers the batch (`spark:txn-sink`)."""
TWO = "1 fails, 0 lost"
"""Two processes on one checkpoint."""
TWO_TOKENS = "1 fails, 0 lost, 0 repeated"
"""The same where the sink has a fence and a token."""
