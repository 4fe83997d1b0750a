"""Every engine under a small load: right answers, and figures. A busy machine may measure too inexactly to decide."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.latency import slip_gate

pytestmark = pytest.mark.integration


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked = [name.partition(":")[0] for name in metafunc.config.getoption("--engine")]
    metafunc.parametrize("name", list(dict.fromkeys(asked)))


def test_answers_are_right_and_figures_are_there(broker: str, tmp_path: Path, name: str) -> None:
    load = ["--rate", "500", "--duration", "5", "--warmup", "5"]
    asked = ["--engine", name, *load, "--json", "--broker", broker, "--output", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *map(str, asked)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, 3), done.stderr
    (result,) = json.loads(done.stdout)["results"]
    figures = result["figures"]
    assert figures is not None, result["reason"]
    # Inconclusive is a late generator, by the gate's own rule, and nothing else.
    gate = slip_gate(figures["slip_ns"]["p99"], figures["latency_ns"]["p50"])
    assert (done.returncode, result["reason"]) == ((3, gate) if gate else (0, ""))
    assert figures["events"] == 5000
    assert figures["rows"] > 0
    assert figures["broker_cpu_s_per_million"] is None  # The broker is not the bench's own.
    assert result["figures"]["samples"] == 2500
    assert result["figures"]["state"]["rows"] == result["figures"]["keys"]
