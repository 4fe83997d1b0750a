"""Keys in several partitions: which inputs meet without a new key, and what a sample of them says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from engines.contract import Job
from engines.faust import copartition
from engines.faust.copartition import Placement, meeting, warning
from engines.faust.plan import StagePlan, stage_plans
from semantics.catalogue import all_expectations
from semantics.expr import ID, KEY, VALUE, expr
from semantics.pipeline import (
    Aggregate,
    AsOf,
    Emit,
    Filter,
    Join,
    KeyBy,
    Lookup,
    Pipeline,
    Source,
    Stateful,
    Tumbling,
    Union,
    nodes,
    rekeyed,
    sources,
)
from semantics.time import s

A, B = Source("a", delay=s(1)), Source("b", delay=s(1))
JOIN = Join(A, B, lo=s(0), hi=s(1))


def stages(pipeline: Pipeline, partitions: int = 2) -> list[StagePlan]:
    inputs = {source.name: f"topic-{source.name}" for source in sources(pipeline)}
    return stage_plans("g", Job("j", pipeline, inputs, "out", "dead", partitions))


@pytest.mark.parametrize(
    ("pipeline", "met"),
    [
        (JOIN, ["ab"]),
        (Aggregate(A, window=Tumbling(s(1))), ["a"]),
        (Aggregate(Union((Filter(A, expr(VALUE, ">", 0)), B)), emit=Emit.UPDATE), ["ab"]),
        (Lookup(A, Source("b"), as_of=AsOf.ARRIVAL), ["ab"]),
        (Filter(Aggregate(JOIN, emit=Emit.UPDATE), expr(VALUE, ">", 0)), ["ab"]),
        (Aggregate(KeyBy(JOIN, ID), emit=Emit.UPDATE), ["ab"]),
        (KeyBy(Aggregate(A, emit=Emit.UPDATE), ID), ["a"]),
        (Union((Aggregate(A, window=Tumbling(s(1))), Aggregate(B, window=Tumbling(s(1))))), ["a", "b"]),
        (Union((Aggregate(A, window=Tumbling(s(1))), B)), ["a"]),
        (Union((A, B)), []),
        (Filter(A, expr(VALUE, ">", 0)), []),
        (Aggregate(KeyBy(A, KEY), emit=Emit.UPDATE), []),
        (Join(KeyBy(A, KEY), B, lo=s(0), hi=s(1)), []),
    ],
)
def test_what_meets_is_what_an_operator_reads_without_a_new_key(pipeline: Pipeline, met: list[str]) -> None:
    found = [topics for stage in stages(pipeline) for topics in meeting(stage)]
    assert found == [[f"topic-{name}" for name in names] for names in met]


def test_no_operator_of_a_stage_has_a_new_key_below_it() -> None:
    for each in all_expectations():
        for stage in stages(each.pipeline):
            assert not any(isinstance(node, Stateful) and rekeyed(node) for node in nodes(stage.compiled())), each.id


def record(value: bytes | None) -> Any:
    return SimpleNamespace(offset=0, key=b"other", value=value)


def event(key: str) -> bytes:
    return f'{{"k": "{key}", "v": 1}}'.encode()


def placement(*seen: tuple[str, int, bytes | None]) -> Placement:
    made = Placement()
    for topic, partition, value in seen:
        made.take(TopicPartition(topic, partition), [record(value)])
    return made


def test_a_key_in_one_partition_of_every_input_is_well_placed() -> None:
    alike = placement(("l", 0, event("x")), ("r", 0, event("x")), ("l", 1, event("y")), ("r", 1, event("y")))
    assert warning("j", [alike, placement(("other", 1, event("x")))]) == ""


@pytest.mark.parametrize("other", ["l", "r"])
def test_a_key_in_two_partitions_is_named_with_both(other: str) -> None:
    torn = placement(("l", 0, event("x")), ("l", 1, event("y")), (other, 1, event("x")), (other, 2, event("y")))
    line = warning("j", [placement(), torn])
    assert line.startswith(f"Job j: key 'x' is in l/0 and in {other}/1. Keys found in several partitions: 2, ")
    assert "KeyBy(input, KEY)" in line


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b'{"k": "\xff", "v": 1}', b'{"k": 1, "v": 1}', b'{"k": "x"}', b'{"k": null, "v": 1}',
              b'{"v": 1}', b"[" * 10_000],
)  # fmt: skip
def test_what_has_no_key_says_nothing(value: bytes | None) -> None:
    assert not placement(("l", 0, value), ("l", 1, value)).torn


def test_a_key_of_any_kind_leaves_one_short_line() -> None:
    line = warning("j", [placement(*(("l", at, event("\\n\\u001b" + "x" * 10_000)) for at in (0, 1)))])
    assert line.isprintable()
    assert len(line) < 600


@pytest.mark.parametrize(("partitions", "says"), [(1, 0), (2, 1)])
async def test_a_check_that_cannot_be_made_is_told_and_refuses_nothing(
    caplog: pytest.LogCaptureFixture, partitions: int, says: int
) -> None:
    """One partition needs none: nobody is asked."""
    await copartition.check("127.0.0.1:1", stages(JOIN, partitions))
    assert len([line for line in caplog.messages if "Job j starts, but" in line]) == says
