"""Plays the selected expectations engine by engine, in waves, and prints the matrix at the end."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from bench import matrix, report, runs, suite
from engines import registry
from engines.broker.log import KafkaLog
from semantics.catalogue import all_expectations
from semantics.errors import WeirError
from semantics.expectation import Expectation
from semantics.timeline import Crash

HEAVY = ("spark",)
"""Engines that start slowly: Spark takes 7 s of CPU from its start to a first batch, a worker of Faust 1 s."""
_CELLS = pytest.StashKey[dict[str, dict[str, suite.Result]]]()
_DIED = pytest.StashKey[dict[str, WeirError]]()
_RUN = pytest.StashKey[runs.Run]()


def engines(config: pytest.Config) -> list[str]:
    """Return the engines asked for; tests/conftest.py names them all if none was."""
    asked: list[str] = config.getoption("--engine")
    return asked


def pytest_report_header(config: pytest.Config) -> list[str]:
    lines = [f"engine {name}: {suite.versions(*registry.get(name))}" for name in engines(config)]
    for name in registry.names():
        missing = registry.get(name)[0].missing()
        if missing:
            lines.append(f"engine {name}: not here: {missing}")
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        pairs = [(name, expectation) for name in engines(metafunc.config) for expectation in all_expectations()]
        cells = [
            pytest.param(pair, id=f"{pair[0]}-{pair[1].id}", marks=[pytest.mark.extra] if extra(*pair) else ())
            for pair in pairs
        ]
        metafunc.parametrize("cell", cells, indirect=True)


def extra(name: str, expectation: Expectation) -> bool:
    """Return whether a cell belongs to `make test-all` alone.

    A crash script has a deployment of its own, which starts twice. The core ones show what an engine promises under a
    kill.
    """
    crashes = any(isinstance(step, Crash) for step in expectation.timeline)
    return crashes and not expectation.core and name.partition(":")[0] in HEAVY


@pytest.fixture(scope="session")
def catalogue(
    request: pytest.FixtureRequest, record_testsuite_property: Callable[[str, object], None]
) -> Iterator[suite.Suite]:
    """Return the suite with its run folder; the broker starts only when an engine needs it."""
    config = request.config
    if hasattr(config, "workerinput"):
        pytest.fail("The catalogue is one record and one matrix: play it without `-n`.", pytrace=False)
    arguments = {"command": "pytest", "engines": engines(config), "broker": config.getoption("--broker") or "embedded"}
    logs: list[KafkaLog] = []
    if any(registry.get(name)[0].needs_broker for name in engines(config)):
        # Asked for here and not later, so that the log closes before its broker does, and no run begins without one.
        logs.append(KafkaLog(request.getfixturevalue("broker")))
    run = runs.create(Path("runs"), arguments, seed=0)
    started = time.monotonic()

    terminal = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    assert terminal is not None
    assert capture is not None

    def progress(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"[{time.monotonic() - started:4.0f} s] {text}")

    opened = suite.Suite(run, kafka=lambda: logs[0], progress=progress)
    config.stash[_RUN] = run
    yield opened
    opened.close()
    for deployment, seconds in opened.took:
        record_testsuite_property(f"deployment {deployment}", f"{seconds:.1f}")
    for log in logs:
        log.close()
    played = config.stash.setdefault(_CELLS, {})
    if set(played) == set(engines(config)):
        run.close()
    elif not played:
        run.discard()


@pytest.fixture
def cell(request: pytest.FixtureRequest, catalogue: suite.Suite) -> suite.Result:
    """Return the judged cell of one expectation on one engine; the engine's first one plays all that are selected."""
    name, expectation = request.param
    cells = request.config.stash.setdefault(_CELLS, {})
    died = request.config.stash.setdefault(_DIED, {})
    if name in died:
        # Once is enough: what the whole run died of is every cell's answer.
        raise died[name]
    if name not in cells:
        try:
            cells[name] = asyncio.run(catalogue.run(name, _selected(request.session, name)))
        except WeirError as error:
            died[name] = error
            raise
    return cells[name][expectation.id]


def _selected(session: pytest.Session, name: str) -> list[Expectation]:
    """Return the expectations that this session asks of the engine, in the catalogue's order."""
    callspecs = [getattr(item, "callspec", None) for item in session.items]
    asked = [callspec.params["cell"] for callspec in callspecs if callspec and "cell" in callspec.params]
    return [expectation for engine, expectation in asked if engine == name]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    played = config.stash.get(_CELLS, {})
    if not played:
        return
    cells = {name: {id: result.verdict for id, result in results.items()} for name, results in played.items()}
    console = Console(file=io.StringIO(), width=100, force_terminal=terminalreporter.hasmarkup)
    console.print(matrix.table(cells))
    for engine, column in cells.items():
        console.print(f"{engine}: {matrix.counts(column.values())}", highlight=False)
    for line in matrix.deviations(cells):
        console.print(line, highlight=False, markup=False)
    try:
        path = report.write(config.stash[_RUN].path)
        console.print(f"report: {path}", highlight=False, markup=False, soft_wrap=True)
    except WeirError as error:
        # The verdicts stand without it; nobody shall lose a suite's results to a page.
        console.print(f"no report: {error}", highlight=False, markup=False)
    console.print(f"record: {config.stash[_RUN].path}", highlight=False, markup=False)
    assert isinstance(console.file, io.StringIO)
    terminalreporter.write_line("")
    terminalreporter.write(console.file.getvalue())
