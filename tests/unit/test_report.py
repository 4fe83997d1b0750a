"""The report: what it tells, and that nothing in a record can break out of it or blow it up."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench import report, runs
from bench.__main__ import main
from bench.report import timeline
from bench.report.build import render
from bench.report.picture import Box, Text
from bench.story import tell
from bench.suite import judged, script_of
from bench.text import plain, safe
from engines import registry
from engines.journal import Journal
from semantics.catalogue import find
from semantics.history import DeadLetters, Entry, History, Refused, Seen, Sent, Settled, Undecided
from semantics.rows import Row, WindowRow
from semantics.timeline import Send
from semantics.verdict import Verdict, judge

VOID = {"meta", "br", "rect", "circle", "polyline"}
ALLOWED = {"html", "head", "meta", "title", "style", "body", "header", "section", "h1", "h2", "h3", "h4", "p", "div"}
ALLOWED |= {
    "span",
    "strong",
    "code",
    "pre",
    "ul",
    "li",
    "a",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
}
ALLOWED |= {"svg", "text", "rect", "circle", "polyline"}
HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7007*7 }}{% raw %}",
    "a\x00b\x1b[31mc\u202edesrever\u2028",
    "x" * 1_000_000,
]
RESULT = {
    "scenario": "running-count",
    "title": "Engine",
    "versions": {},
    "outcome": "right",
    "reason": "",
    "figures": {
        "samples": 40_000,
        "latency_ns": {"p50": 10_000_000, "p90": 20_000_000, "p99": None, "p99.9": None, "max": 99_000_000},
        "cpu_s_per_million": 12.5,
        "state": {"rows": 7, "live_bytes": 2048, "disk_bytes": None, "restore_bytes": 4096},
    },
}


class Page(HTMLParser):
    """A strict reader: every tag is known and closed, and nothing but attributes of ours is there."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(data.decode())
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "style")]
        assert all(value is None or value.startswith("#") for name, value in attrs if name == "href")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def made(tmp_path: Path, cells: dict[tuple[str, str], list[Entry]], **facts: Any) -> Path:
    """Record a run with these histories, judged as they are."""
    run = runs.create(tmp_path, {"command": "test", **facts}, seed=1)
    journal = Journal(run.path / "history.jsonl")
    for (name, id), entries in cells.items():
        journal.write(name, id, entries)
        expectation, history = find(id), History(id, name, tuple(entries))
        engine, variant = registry.get(name)
        verdict = judged(expectation, name, engine.declaration(variant), history).verdict
        run.append("verdicts", record(name, id, verdict))
    journal.close()
    run.close()
    return run.path


def record(name: str, id: str, verdict: Verdict) -> dict[str, Any]:
    told = {"verdict": verdict.value.value, "reason": verdict.reason, "rules": verdict.rules, "step": verdict.step}
    return {"engine": name, "expectation": id, "script": script_of(find(id)), **told}


def history(id: str, *rows_at_the_end: Row) -> list[Entry]:
    """Return a whole history of an expectation of one input: these rows in its last step."""
    entries: list[Entry] = []
    timeline = find(id).timeline
    for number, step in enumerate(timeline):
        assert isinstance(step, Send)
        entries.append(Sent(step=number, input="in", partition=0, first=number, end=number + len(step.events)))
        if number == len(timeline) - 1:
            entries += [Seen(step=number, row=row, partition=0, offset=at) for at, row in enumerate(rows_at_the_end)]
        entries.append(Settled(step=number, watermark_us=None, late=None, dead=None, state=None))
    return [*entries, DeadLetters()]


def window(key: str | None, start_s: int, end_s: int, count: int) -> WindowRow:
    return WindowRow(key, start_s * 1_000_000, end_s * 1_000_000, (("n", count),))


RIGHT = history("SW-07", window("a", 7, 20, 2), window("z", 18, 28, 1))
SPARKS = history("SW-07", window("a", 10, 20, 1), window("z", 18, 28, 1))


def test_a_run_becomes_one_page_with_all_three_depths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made(tmp_path, {("faust", "SW-07"): RIGHT, ("spark", "SW-07"): SPARKS})
    assert main(["report", str(folder)]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == folder / report.FILE
    told = " ".join(Page(path.read_bytes()).text)
    assert "No surprises" in told
    assert "1 of 1 hold" in told
    assert "session_lateness = OWN_SPAN" in told
    assert "the sessions" not in told
    assert "a[7,20)=2" in told
    assert "a[10,20)=1" in told
    assert "pytest -m semantics --engine spark -k SW-07" in told
    assert "SessionWindowStateStoreRestoreExec" in told
    assert "not in this run" in told


def test_the_page_forbids_itself_everything_but_its_own_style(tmp_path: Path) -> None:
    data = render(made(tmp_path, {("faust", "SW-07"): RIGHT})).decode()
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in data
    assert "http-equiv" in data.partition("<style>")[0]
    assert not re.search(r"<(script|link|iframe|img)|url\(|@import", data)


@pytest.mark.parametrize("hostile", HOSTILE, ids=["script", "style", "img", "template", "control", "long"])
def test_nothing_breaks_out_and_the_page_stays_small(tmp_path: Path, hostile: str) -> None:
    cells: dict[tuple[str, str], list[Entry]] = {
        ("faust", "SW-07"): history("SW-07", *(window(hostile, 7, 20, count) for count in range(30))),
        ("spark", "SW-07"): [Undecided(step=0, reason=f"last lines of the log: {hostile}")],
        ("faust", "SW-05"): [Refused(error=hostile, message=hostile)],
    }
    folder = made(tmp_path, cells, **{hostile[:300]: hostile})
    run = runs.Run(folder, {})
    run.append("bench", RESULT | {"engine": hostile, "title": hostile, "reason": hostile})
    run.append("verdicts", {"engine": hostile, "expectation": hostile, "verdict": "holds", "reason": hostile})
    run.append("controls", {"engine": hostile, "caught_by": []})
    data = report.write(folder).read_bytes()
    page = "".join(Page(data).text)
    assert len(data) < 2_000_000
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\ud800-\udfff]", page)
    assert "49049" not in page
    if hostile.startswith("x"):
        assert "(1000000 characters)" in page


def test_a_page_that_would_be_too_large_goes_without_drawings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path, {("spark", "SW-07"): SPARKS})
    drawn = render(folder)
    monkeypatch.setattr("bench.report.build.MOST_BYTES", len(drawn) - 1)
    plainer = render(folder)
    assert b"drawings are left out" in plainer
    assert b"<svg" not in plainer
    assert b"<svg" in drawn
    Page(plainer)


def test_a_partial_run_and_one_without_expectations_say_so(tmp_path: Path) -> None:
    empty = runs.create(tmp_path, {}, seed=1)
    told = " ".join(Page(render(empty.path)).text)
    assert "did not come to its end" in told
    assert "No expectation was played" in told


def test_wrong_answers_have_no_figures(tmp_path: Path) -> None:
    run = runs.create(tmp_path, {}, seed=1)
    run.append("bench", RESULT | {"engine": "one"})
    run.append("bench", RESULT | {"engine": "two", "outcome": "wrong", "reason": "a count fell back", "figures": None})
    told = " ".join(Page(render(run.path)).text)
    assert "a count fell back" in told
    assert told.count("10.0 ms") == 1
    assert "not told" in told


def test_live_bytes_of_two_engines_are_not_drawn_side_by_side(tmp_path: Path) -> None:
    run = runs.create(tmp_path, {}, seed=1)
    for engine in ("one", "two"):
        run.append("bench", RESULT | {"engine": engine})
    told = Page(render(run.path)).text
    assert told.count("4.0 KiB") == 2
    assert "2.0 KiB" not in told
    assert "Live bytes are not drawn" in " ".join(told)


def test_a_script_that_has_changed_since_is_not_drawn(tmp_path: Path) -> None:
    folder = made(tmp_path, {("spark", "SW-07"): SPARKS})
    path = folder / "verdicts.jsonl"
    path.write_bytes(path.read_bytes().replace(b"z#e2@18", b"z#e2@17"))
    told = render(folder)
    assert b"<svg" not in told
    assert b"session_lateness = OWN_SPAN" in told


def test_the_timeline_draws_what_is_missing_and_what_is_there_instead() -> None:
    expectation, declared = find("SW-07"), registry.get("spark")[0].declaration()
    seen = History("SW-07", "spark", tuple(SPARKS))
    picture = timeline.draw(tell(expectation, "spark", declared, judge(expectation, declared.rules, seen), seen))
    assert picture is not None
    bars = {shape.style: shape.width for shape in picture.shapes if isinstance(shape, Box) and shape.height == 10}
    assert bars.keys() == {"agreed", "missing", "extra"}
    assert bars["missing"] > bars["extra"]
    texts = [shape.text for shape in picture.shapes if isinstance(shape, Text)]
    assert {"demanded", "predicted", "observed", "a[7,20)=2", "a[10,20)=1", "7", "18"} <= set(texts)


def test_a_cell_with_too_many_instants_is_not_drawn() -> None:
    expectation, declared = find("SW-07"), registry.get("spark")[0].declaration()
    many = timeline.MOST_INSTANTS
    rows = [window("a", start, start + many, 1) for start in range(many)]
    seen = History(
        "SW-07",
        "spark",
        (*SPARKS, *(Seen(step=s % 4, row=r, partition=0, offset=9) for s, r in enumerate(rows))),
    )
    verdict = judge(expectation, declared.rules, seen)
    assert timeline.draw(tell(expectation, "spark", declared, verdict, seen)) is None


def test_text_is_shown_as_it_is_or_as_escapes() -> None:
    assert plain("aé\n\t\x00\ud800\u202e") == "aé\\x0a\\x09\\x00\\ud800\\u202e"
    assert plain("x" * 201) == "x" * 200 + "… (201 characters)"
    assert safe("a\nb\x1b") == "a\nb\\x1b"
    assert safe(7) == 7
