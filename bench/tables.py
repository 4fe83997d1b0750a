"""Pages of rules and of planted bugs: values with their sources, and the expectations that catch each."""

from __future__ import annotations

import ast
import asyncio
import inspect
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

from bench.foretold import declarations
from engines import registry
from engines.contract import Declaration, Engine, Log
from engines.journal import Journal
from engines.memory import MemoryLog
from engines.player import Player
from semantics import rules as rules_module
from semantics.catalogue import all_expectations, find
from semantics.expectation import Expectation
from semantics.oracle import predict
from semantics.rules import CONTRACT, Rules, Sink
from semantics.timeline import Crash
from semantics.verdict import Value, judge, undemanded

FEWEST = 2
"""Expectations that tell a rule's value apart: with one alone, nothing speaks against a rule made up for it."""
_RULES = """\
# Rules

Engines differ in named ways. The contract's value comes first. Weir declares another value on an engine's behalf, with
a source that is not our own run. An expectation tells a value apart if the oracle, with that one value changed, does
not predict what is demanded: that is computed, not played."""
_TEETH = """\
# Teeth

A catalogue that everything passes proves nothing. Mistakes are planted one at a time: into the reference, on which the
whole catalogue is played, and, where only a kill can tell, into a real engine. Every rule value that is not the
contract's is a planted mistake for free: those are computed by the oracle, not played."""

_KILLED = """\
In what order output, state and position are committed shows only where a process is killed in between. These are
played on the real engine and a real broker by
[tests/integration/test_faust_teeth.py](../tests/integration/test_faust_teeth.py), beside the sound engine, which must
hold; the list names those that must catch each."""


def rules_page(declared: Mapping[str, Declaration]) -> str:
    """Return docs/rules.md."""
    parts = [_RULES]
    for rule, kind in _rules():
        parts.append(f"## {rule}\n\n{inspect.getdoc(kind)}")
        lines = ["| value | means | decided so by | told apart by |", "|---|---|---|---|"]
        for value in kind:
            contract = value is getattr(CONTRACT, rule)
            deciding = _sources(rule, {name: d for name, d in declared.items() if getattr(d.rules, rule) is value})
            by = "the contract" if contract else "<br>".join(deciding) or "no engine here"
            apart = "" if contract else _listed(telling_apart(rule, value, declared), rule)
            lines.append(f"| {value.name} | {meaning(value)} | {by} | {apart} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def teeth_page(caught: Mapping[str, Sequence[str]]) -> str:
    """Return docs/teeth.md. `caught`: ids that fail, by engine:variant of each bug planted into the reference."""
    lines = ["## Planted bugs", "", "| bug | what it does | caught by |", "|---|---|---|"]
    for bug, ids in caught.items():
        lines.append(f"| {bug} | {_says(bug)} | {', '.join(ids) or '**nothing**'} |")
    lines += ["", "## Planted bugs of a process that dies", "", _KILLED, "", *lines[2:4]]
    for engine, variant, lie in _bugs(needs_broker=True):
        lines.append(f"| {engine.name}:{variant} | {lie.bug} | {', '.join(lie.caught_by) or '**nothing**'} |")
    declared = dict(declarations())
    lines += ["", "## Rule values", "", "| rule | value | caught by |", "|---|---|---|"]
    for rule, kind in _rules():
        for value in kind:
            if value is not getattr(CONTRACT, rule):
                ids = telling_apart(rule, value, declared)
                lines.append(f"| {rule} | {value.name} | {_listed(ids, rule)} |")
    return "\n\n".join([_TEETH, "\n".join(lines)])


def telling_apart(rule: str, value: Enum, declared: Mapping[str, Declaration]) -> list[str]:
    """Return the ids of the expectations that tell a rule's value from the contract's.

    A value that shows hardly but beside others (how batches count what is late) is looked at in the engines that
    declare it, too.
    """
    if isinstance(value, Sink):
        return [e.id for e in all_expectations() if any(isinstance(step, Crash) for step in e.timeline)]
    alone: dict[str, Any] = {rule: value}
    ids = {e.id for e in all_expectations() if undemanded(e, Rules(**alone))}
    if len(ids) < FEWEST:
        beside = [d.rules for d in declared.values() if getattr(d.rules, rule) is value]
        ids |= {e.id for e in all_expectations() if any(_shows(e, rules, rule) for rules in beside)}
    return [e.id for e in all_expectations() if e.id in ids]


async def catches(log: Log | None = None) -> dict[str, list[str]]:
    """Play the catalogue on each planted bug; return the ids that fail by engine:variant.

    With a `log`, a broker's, those too that only a kill of real processes can tell; they play what names them.
    """
    caught = {name: failing(verdicts) for name, verdicts in (await planted()).items()}
    if log is not None:
        for engine, variant, declared in _bugs(needs_broker=True):
            if not engine.missing():
                name, verdicts = await _verdicts(engine, variant, log, [find(id) for id in declared.caught_by])
                caught[name] = failing(verdicts)
    return caught


async def planted() -> dict[str, dict[str, Value]]:
    """Play the catalogue on each bug planted into the reference; return verdicts by engine:variant and id."""
    playing = [_verdicts(engine, variant, MemoryLog(), all_expectations()) for engine, variant, _ in _bugs()]
    return dict(await asyncio.gather(*playing))


def failing(verdicts: Mapping[str, Value]) -> list[str]:
    """Return the ids whose verdict fails a suite."""
    return [id for id, value in verdicts.items() if value.fails]


def _bugs(*, needs_broker: bool = False) -> Iterator[tuple[Engine, str, Declaration]]:
    for name in registry.names():
        engine, _ = registry.get(name)
        for variant in engine.variants if engine.needs_broker is needs_broker else ():
            if (declared := engine.declaration(variant)).bug:
                yield engine, variant, declared


async def _verdicts(
    engine: Engine, variant: str, log: Log, expectations: Sequence[Expectation]
) -> tuple[str, dict[str, Value]]:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "history.jsonl")
        player = Player(engine, variant, log, logs=Path(folder), journal=journal, prefix=f"{secrets.token_hex(4)}-")
        histories = await player.play(expectations)
        journal.close()
    return f"{engine.name}:{variant}", {e.id: judge(e, CONTRACT, histories[e.id]).value for e in expectations}


def _shows(expectation: Expectation, rules: Rules, rule: str) -> bool:
    here = expectation.pipeline, expectation.timeline
    return predict(*here, rules) != predict(*here, rules.returned((rule,)))


def _rules() -> Iterator[tuple[str, type[Enum]]]:
    """Yield every rule's name and the enum of its values."""
    for field in fields(Rules):
        yield field.name, type(getattr(CONTRACT, field.name))


def _sources(rule: str, declared: Mapping[str, Declaration]) -> list[str]:
    """Return "engines: source" for each source once: variants share what they do not change."""
    engines: dict[str, list[str]] = {}
    for name, declaration in declared.items():
        source = next((o.source for o in declaration.overrides if o.rule == rule), "")
        engines.setdefault(source, []).append(name)
    return [f"{', '.join(names)}{': ' if source else ''}{source}" for source, names in engines.items()]


def _listed(ids: Sequence[str], rule: str) -> str:
    listed = ", ".join(ids) or "nothing yet"
    if rule == "sink":
        return f"only a fault shows it: {listed}"
    return listed if len(ids) >= FEWEST else f"{listed} (fewer than {FEWEST})"


def _says(bug: str) -> str:
    engine, variant = registry.get(bug)
    return engine.declaration(variant).bug


def meaning(value: Enum) -> str:
    """Return what stands below an enum's member in the source; Python keeps no docstring of a member."""
    return _MEANINGS.get((type(value).__name__, value.name), "")


def _meanings() -> Iterator[tuple[tuple[str, str], str]]:
    for node in ast.parse(inspect.getsource(rules_module)).body:
        if isinstance(node, ast.ClassDef):
            for member, text in zip(node.body, node.body[1:], strict=False):
                match member, text:
                    case ast.Assign([ast.Name(name)]), ast.Expr(ast.Constant(str(says))):
                        yield (node.name, name), " ".join(says.split())


_MEANINGS = dict(_meanings())
