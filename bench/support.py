"""docs/<engine>-support.md: what an engine that can be probed runs and refuses, beside what its guide says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from engines.probing import Answer, Probe, Prober, Record, Statement, contradicted, load

_SHOWN = 3
"""Contradictions of one statement that are spelled out; all are marked in the tables."""
_INTRO = """\
What {title} runs and what it refuses, found out by asking: `python -m bench probe --engine {engine}`
puts every combination below to the engine itself and compares with this record, so that a new version's changes are
seen.

{how}

Recorded with {versions}: {count} combinations, {yes} run, {no} are refused.

**✓** runs. **✗** is refused when it is started, **†** dies when it runs; the number names the error below. **≠** marks
where the guide says otherwise."""


def support_page(prober: Prober) -> str:
    """Return the page of what is recorded. Raises `CorruptRun`."""
    record = load(prober.record)
    known = [probe for probe in prober.probes if probe.id in record.answers]
    asked = [probe for area in prober.areas for probe in known if probe.area == area]
    errors = _numbered(asked, record.answers)
    yes = sum(record.answers[probe.id].yes for probe in asked)
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    counts = {"count": len(asked), "yes": yes, "no": len(asked) - yes, "versions": versions}
    parts = [
        f"# What {prober.title} runs",
        _INTRO.format(title=prober.title, engine=prober.engine, how=prober.how, **counts),
        "## Where the guide says otherwise",
        _contradictions(prober.statements, asked, record.answers),
    ]
    for area, heading in prober.areas.items():
        members = [probe for probe in asked if probe.area == area]
        parts += [f"## {heading}", _table(members, prober.statements, record, errors)]
    parts += ["## Errors", _legend(errors), "## What the guide says", _guide(prober.statements)]
    return "\n\n".join(parts)


_Errors = dict[tuple[str, str], int]


def _numbered(probes: Sequence[Probe], answers: Mapping[str, Answer]) -> _Errors:
    """Return a number for each error, in the order in which they are met."""
    met = ((answers[p.id].error, answers[p.id].saw) for p in probes if not answers[p.id].yes)
    return {error: number for number, error in enumerate(dict.fromkeys(met), 1)}


def _contradictions(statements: Sequence[Statement], probes: Sequence[Probe], answers: Mapping[str, Answer]) -> str:
    lines = []
    for statement in statements:
        wrong = contradicted(statement, probes, answers)
        if wrong:
            does = "refused" if statement.yes else "runs"
            shown = ", ".join(f"`{p.id}`" for p in wrong[:_SHOWN])
            more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            lines.append(f"- {statement.id}: {statement.says} Here {does}: {shown}{more}.")
    return "\n".join(lines) or "Nowhere."


def _table(probes: Sequence[Probe], statements: Sequence[Statement], record: Record, errors: _Errors) -> str:
    modes = list(dict.fromkeys(probe.mode for probe in probes))
    dimensions = ["operator", *(name for name in ("form", "watermark") if any(getattr(p, name) for p in probes))]
    lines = [
        f"| {' | '.join([*dimensions, *(mode or 'answer' for mode in modes)])} | guide |",
        "|---" * (len(dimensions) + len(modes) + 1) + "|",
    ]
    for names, cells in _merged(probes, statements, record, errors):
        named = dict(zip(("operator", "form", "watermark"), names, strict=True))
        lines.append(f"| {' | '.join([*(named[name] for name in dimensions), *cells])} |")
    return "\n".join(lines)


def _merged(
    probes: Sequence[Probe], statements: Sequence[Statement], record: Record, errors: _Errors
) -> Iterator[tuple[tuple[str, str, str], tuple[str, ...]]]:
    """Yield (operator, form, watermark) and the cells of each row; watermarks with the same cells are one row."""
    for (operator, form), group in groupby(probes, key=lambda p: (p.operator, p.form)):
        rows: dict[tuple[str, ...], list[str]] = {}
        for watermark, members in groupby(group, key=lambda p: p.watermark):
            row = list(members)
            said = [s for s in statements if any(s.covers(p) for p in row)]
            cells = [_cell(p, record.answers[p.id], said, errors) for p in row]
            rows.setdefault((*cells, ", ".join(s.id for s in said)), []).append(watermark)
        for merged, watermarks in rows.items():
            yield (operator, form, ", ".join(watermarks)), merged


def _cell(probe: Probe, answer: Answer, said: Sequence[Statement], errors: _Errors) -> str:
    mark = "✓" if answer.yes else f"{'†' if answer.when == 'run' else '✗'} {errors[answer.error, answer.saw]}"
    otherwise = any(s.covers(probe) and s.yes is not answer.yes for s in said)
    return f"**{mark} ≠**" if otherwise else mark


def _legend(errors: _Errors) -> str:
    lines = ["| | class of error | in its words |", "|--:|---|---|"]
    lines += [f"| {number} | `{error}` | {_plain(saw)} |" for (error, saw), number in errors.items()]
    return "\n".join(lines)


def _guide(statements: Sequence[Statement]) -> str:
    lines = ["| | where | in our words |", "|---|---|---|"]
    lines += [f"| {s.id} | [{s.section}]({s.page}) | {s.says} |" for s in statements]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return an engine's words as text in a table: no markup, no cell's end."""
    return " ".join(text.replace("|", "/").replace("<", "&lt;").replace("*", "\\*").split())
