"""The exit code of a worker that cannot start: the one of every error, so that a supervisor has one to look for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engines.broker.kraft import free_ports
from engines.contract import Profile
from engines.faust.plan import Guarantee, Plan
from engines.faust.task import FATAL_EXIT


def ended(plan: Path) -> tuple[int, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "engines.faust.worker", str(plan)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stderr


def test_without_a_plan(tmp_path: Path) -> None:
    code, told = ended(tmp_path / "nowhere.json")
    assert code == FATAL_EXIT
    assert "nowhere.json" in told


def test_without_a_broker(tmp_path: Path) -> None:
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
    code, told = ended(tmp_path / "plan.json")
    assert code == FATAL_EXIT
    assert "Unable to bootstrap" in told
