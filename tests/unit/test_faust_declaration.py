"""Declaration for the Faust engine."""

from __future__ import annotations

from importlib import metadata

import pytest

from bench import doctor
from bench.foretold import declarations
from engines.contract import Support
from engines.errors import EnvironmentNotReady
from engines.faust import guard
from engines.faust.bugs import BUGS
from engines.faust.engine import ENGINE
from engines.faust.flaws import PARTS
from engines.faust.task import Task
from semantics.catalogue import find
from semantics.expectation import script
from semantics.expr import ID
from semantics.pipeline import Aggregate, Emit, Explode, KeyBy, Source, Tumbling
from semantics.rules import CONTRACT, Rules, Sink
from semantics.time import s
from semantics.timeline import Crash, CrashPoint

REKEYED = Aggregate(KeyBy(Source(), ID), emit=Emit.UPDATE)


def test_it_overrides_no_rule_and_has_no_deviation() -> None:
    declared = ENGINE.declaration()
    assert declared.rules == CONTRACT == Rules()
    assert declared.overrides == ()
    assert declared.deviations == ()
    assert declared.crash_points == frozenset(CrashPoint)


def test_at_least_once_differs_in_the_sink_alone() -> None:
    declared = ENGINE.declaration("at-least-once")
    assert declared.rules == Rules(sink=Sink.AT_LEAST_ONCE)
    assert [override.rule for override in declared.overrides] == ["sink"]


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_lies_that_it_keeps_the_contract(bug: str) -> None:
    declared = ENGINE.declaration(bug)
    assert declared.bug
    assert declared.rules == CONTRACT
    assert declared.caught_by
    assert all(find(id).family == "EO" for id in declared.caught_by)


def test_every_planted_bug_has_parts_and_none_is_an_engine_to_compare() -> None:
    assert PARTS.keys() == {"", *BUGS}
    assert PARTS[""].task is Task
    assert not [name for name, declared in declarations() if declared.bug]


def test_at_least_once_promises_nothing_behind_a_new_key_after_a_kill() -> None:
    calm, killed = script("a@1", "b@2/1"), script("a@1", Crash(CrashPoint.AFTER_SINK), "b@2/1")
    alone = script("a@1", Crash(CrashPoint.AFTER_SINK), "b@2")
    weak, strong = ENGINE.declaration("at-least-once"), ENGINE.declaration()
    assert weak.can(REKEYED, calm).support is Support.RECIPE
    assert weak.can(REKEYED, alone).support is Support.RECIPE
    assert weak.can(REKEYED, killed).support is Support.UNSUPPORTED
    assert strong.can(REKEYED, killed).support is Support.RECIPE


def test_what_it_cannot_run_yet_is_its_debt() -> None:
    capability = ENGINE.declaration().capability
    source = Source(delay=s(0), late_output=True)
    window = Tumbling(s(10))
    torn = Aggregate(KeyBy(Explode(source), ID), window=window)
    assert capability(torn, 2).support is Support.NOT_IMPLEMENTED
    assert capability(torn, 1).support is Support.RECIPE
    assert capability(Aggregate(Explode(KeyBy(source, ID)), window=window), 2).support is Support.RECIPE


def test_the_versions_whose_private_parts_it_uses_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENGINE.missing() == ""
    guard.check_shapes()
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "9.9" if name == "aiokafka" else installed(name))
    assert "aiokafka is 9.9" in ENGINE.missing()
    assert "make setup" in ENGINE.missing()
    monkeypatch.setattr(guard, "PINNED", {"no-such-library": "1"})
    assert "no-such-library 1 is not installed" in ENGINE.missing()


def test_the_codecs_of_compressed_input_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "find_spec", lambda name: None if name == "cramjam" else name)
    assert ENGINE.missing() == "cramjam is not installed; `make setup` installs what the lock says."
    assert ENGINE.missing() in {check.remedy for check in doctor.checks()}
    with pytest.raises(EnvironmentNotReady, match="cramjam is not installed"):
        guard.check_shapes()
