"""Declaration for plain Faust, and that a pipeline becomes what its user would write."""

from __future__ import annotations

from importlib import metadata

import pytest

from engines.contract import Support
from engines.faust_stock import declaration
from engines.faust_stock.engine import ENGINE
from semantics.expr import ID
from semantics.pipeline import Aggregate, Dedup, Emit, Hopping, Join, KeyBy, Pipeline, Session, Source, Tumbling
from semantics.rules import RecoveredState
from semantics.time import s

CLOCKED = Source(delay=s(0))


@pytest.mark.parametrize("pipeline", [
    Source(),
    Aggregate(Source(), emit=Emit.UPDATE),
    Aggregate(KeyBy(Source(), ID), emit=Emit.UPDATE),
    Aggregate(CLOCKED, window=Tumbling(s(10)), emit=Emit.UPDATE),
    Aggregate(CLOCKED, window=Hopping(s(10), s(5)), emit=Emit.UPDATE),
])  # fmt: skip
def test_what_agents_and_tables_express_is_native(pipeline: Pipeline) -> None:
    assert ENGINE.declaration().capability(pipeline, 1).support is Support.NATIVE


@pytest.mark.parametrize("pipeline", [
    Aggregate(CLOCKED, window=Tumbling(s(10))),
    Aggregate(CLOCKED, window=Session(s(10)), emit=Emit.UPDATE),
    Aggregate(CLOCKED, window=Tumbling(s(10), offset=s(1)), emit=Emit.UPDATE),
    Aggregate(CLOCKED, window=Tumbling(s(10), grace=s(1)), emit=Emit.UPDATE),
    Aggregate(CLOCKED, window=Tumbling(s(0.5)), emit=Emit.UPDATE),
    Aggregate(CLOCKED, window=Hopping(s(10), s(4)), emit=Emit.UPDATE),
    Dedup(CLOCKED, horizon=s(10)),
    Join(Source("L"), Source("R"), lo=s(0), hi=s(5)),
])  # fmt: skip
def test_what_they_do_not_is_refused_with_a_source(pipeline: Pipeline) -> None:
    can = ENGINE.declaration().capability(pipeline, 1)
    assert can.support is Support.UNSUPPORTED
    assert "github.com/faust-streaming/faust" in can.reason


def test_group_by_over_partitions_is_our_debt() -> None:
    can = ENGINE.declaration().capability(Aggregate(KeyBy(Source(), ID), emit=Emit.UPDATE), 2)
    assert can.support is Support.NOT_IMPLEMENTED


@pytest.mark.parametrize(("variant", "state"), [("", RecoveredState.AHEAD), ("eos", RecoveredState.BY_CHANCE)])
def test_the_variants_differ_in_what_a_kill_leaves(variant: str, state: RecoveredState) -> None:
    declared = ENGINE.declaration(variant)
    assert declared.rules.recovered_state is state
    assert not declared.crash_points
    assert "perform_seek" in declared.no_crash_because


def test_another_version_is_not_the_one_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENGINE.missing() == ""
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "9.9" if name == "faust-streaming" else installed(name))
    assert declaration.missing().startswith("faust-streaming is 9.9, not 0.15.3")
