"""Bugs of the order of commits, planted into the real engine: each is caught by name; the sound engine holds the same.

Which expectations must catch which bug is said once, in `engines/faust/bugs.py`; docs/teeth.md shows the same list.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import registry
from engines.broker.log import KafkaLog
from engines.faust.bugs import BUGS
from engines.journal import Journal
from engines.player import Player
from semantics.catalogue import find
from semantics.rules import CONTRACT
from semantics.verdict import Value, Verdict, judge

pytestmark = pytest.mark.integration

SURVIVES = {"bug-dirty-store": ("EO-02",), "bug-partial-batch": ("EO-01",)}
"""Bug -> expectations that it must hold, so that what is planted is that bug: a wiped store is not dirty."""

CONTRADICTED = {"bug-emit-before-commit": ("EO-09",), "bug-partial-batch": ("EO-09",)}
"""Bug -> expectations whose kill finds output where a sound engine has none yet: its evidence is refused, so that the
verdict is unknown, which fails a suite as well. The sound engine holds them."""


async def verdicts(broker: str, folder: Path, variant: str, ids: tuple[str, ...]) -> dict[str, Verdict]:
    engine, _ = registry.require(f"faust:{variant}" if variant else "faust")
    journal = Journal(folder / "history.jsonl")
    expectations = [find(id) for id in ids]
    with KafkaLog(broker) as log:
        player = Player(engine, variant, log, logs=folder, journal=journal, prefix="teeth-")
        histories = await player.play(expectations)
    journal.close()
    return {each.id: judge(each, CONTRACT, histories[each.id]) for each in expectations}


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_is_caught(broker: str, tmp_path: Path, bug: str) -> None:
    caught_by, survives = BUGS[bug].caught_by, SURVIVES.get(bug, ())
    seen = await verdicts(broker, tmp_path, bug, (*caught_by, *survives))
    wanted = dict.fromkeys(caught_by, Value.BROKEN) | dict.fromkeys(survives, Value.HOLDS)
    wanted |= dict.fromkeys(CONTRADICTED.get(bug, ()), Value.UNKNOWN)
    assert {id: verdict.value for id, verdict in seen.items()} == wanted, seen


async def test_the_sound_engine_holds_the_same(broker: str, tmp_path: Path) -> None:
    ids = tuple(sorted({id for bug in BUGS.values() for id in bug.caught_by}))
    seen = await verdicts(broker, tmp_path, "", ids)
    assert {verdict.value for verdict in seen.values()} == {Value.HOLDS}, seen
