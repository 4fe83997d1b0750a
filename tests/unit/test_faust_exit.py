"""The end of a worker that cannot start: one exit code for every error, and none while its broker is only away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engines.broker.kraft import free_ports
from engines.contract import Profile
from engines.faust.plan import Guarantee, Plan
from engines.faust.task import FATAL_EXIT


def worker(plan: Path) -> list[str]:
    return [sys.executable, "-m", "engines.faust.worker", str(plan)]


def ended(plan: Path) -> tuple[int, str]:
    ran = subprocess.run(worker(plan), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stderr


def test_without_a_plan(tmp_path: Path) -> None:
    code, told = ended(tmp_path / "nowhere.json")
    assert code == FATAL_EXIT
    assert "nowhere.json" in told


def test_without_a_broker_it_waits_until_it_is_told_to_end(tmp_path: Path) -> None:
    [port] = free_ports(1)
    plan = Plan(
        bootstrap=f"127.0.0.1:{port}",
        group="exit",
        member="one",
        session_timeout_s=6.0,
        guarantee=Guarantee.EXACTLY_ONCE,
        commit_interval_s=0.1,
        fetch_records=100,
        profile=Profile.SUITE,
        state_dir=str(tmp_path / "state"),
        stages=[],
    )
    plan.write(tmp_path / "plan.json")
    with subprocess.Popen(worker(tmp_path / "plan.json"), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        said = running.stderr.readline().decode()
        assert f"Broker 127.0.0.1:{port} is unreachable" in said
        assert "Work waits for it." in said
        running.terminate()
        assert running.stderr.read() == b"", "one line, not one for each attempt"
    assert running.returncode == 0
