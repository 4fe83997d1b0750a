"""`python -m bench.figures PAGE RUN...`: write what recorded benchmarks measured into a page, between its two marks.

README.md shows the same tables (`bench/readme.py`). No figure is typed by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.plan import SCENARIOS
from engines.errors import CorruptRun

BEGIN = "<!-- begin: figures, inserted by `python -m bench.figures` from a recorded run -->"
END = "<!-- end: figures -->"


def read(folders: Sequence[Path]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the manifests of run folders, and the results of benchmarks in them. Raises `CorruptRun`."""
    manifests, benched = [], []
    for folder in folders:
        try:
            manifests.append(msgspec.json.decode((folder / "run.json").read_bytes()))
            path = folder / "bench.jsonl"
            benched += [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        except (OSError, msgspec.MsgspecError) as error:
            raise CorruptRun(f"{folder} is no run folder: {error}.") from error
    return manifests, benched


def insert(text: str, section: str, begin: str = BEGIN, end: str = END) -> str:
    """Return the page with the section between its marks. Raises `CorruptRun` if they are not there."""
    before, begun, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise CorruptRun(f"The page has no place for results: it needs the lines {begin} and {end}.")
    return f"{before}{begin}\n{section}\n{end}{after}"


def main(arguments: Sequence[str]) -> int:
    """Rewrite the page; return the exit code."""
    if len(arguments) < 2:
        print("usage: python -m bench.figures PAGE RUN [RUN ...]", file=sys.stderr)
        return 2
    page, folders = Path(arguments[0]), [Path(argument) for argument in arguments[1:]]
    try:
        manifests, benched = read(folders)
        section = f"{machine(manifests)}\n\n{figures(benched, manifests[-1])}"
        page.write_text(insert(page.read_text(), section))
    except CorruptRun as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def machine(manifests: Sequence[dict[str, Any]]) -> str:
    """Return the sentence that says when, where and of which commits runs are, by their manifests."""
    manifest = manifests[-1]
    host, versions = manifest["host"], manifest["versions"]
    commits = ", ".join(dict.fromkeys(each["versions"]["weir"] for each in manifests))
    memory = round(host["memory_bytes"] / 2**30)
    return (
        f"From runs of {manifest['started'][:10]} on {host['cores']} cores and {memory} GiB ({host['system']} "
        f"{host['machine']}), Python {versions['python']}, commit {commits}."
    )


def figures(benched: Sequence[dict[str, Any]], manifest: dict[str, Any]) -> str:
    """Return a table for each scenario, in the order in which they were measured."""
    names = dict.fromkeys(result.get("scenario", "running-count") for result in benched)
    return "\n\n".join(_table(name, benched, manifest["arguments"]) for name in names)


def _table(name: str, benched: Sequence[dict[str, Any]], asked: dict[str, Any]) -> str:
    work = SCENARIOS.get(name)
    headings = ("engine", "answers", "p50 ms", "p90 ms", "p99 ms", "max ms")
    more = ("CPU s / 1M events", "state rows", "live", "on disk", "to restore")
    lines = [
        f"**{name}**: {f'{work.claim}; ' if work else ''}{asked.get('rate', 0):g} events/s,"
        f" {asked.get('duration_s', 0):g} s measured after the warm-up. {f'{work.latency}.' if work else ''}",
        "",
        f"| {' | '.join((*headings, *more))} |",
        f"|---|---|{'--:|' * 9}",
    ]
    for result in benched:
        if result.get("scenario", "running-count") != name:
            continue
        figures = result["figures"]
        if figures is None:
            lines.append(f"| {result['title']} | {result['outcome']}: no figures |" + " |" * 9)
            continue
        latency, state = figures["latency_ns"], figures["state"]
        speed = [_number(latency[p], 1e6) for p in ("p50", "p90", "p99", "max")]
        sizes = [_number(state[size], 1024, " KiB") for size in ("live_bytes", "disk_bytes", "restore_bytes")]
        cells = [*speed, _number(figures["cpu_s_per_million"], 1), _number(state["rows"], 1), *sizes]
        lines.append(f"| {result['title']} | {result['outcome']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None, unit: float, suffix: str = "") -> str:
    if value is None:
        return "not told"
    scaled = value / unit
    return f"{scaled:.0f}{suffix}" if scaled >= 100 or float(scaled).is_integer() else f"{scaled:.1f}{suffix}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
