"""The doctor looks at everything, and whatever fails comes with its remedy."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench import doctor
from bench.doctor import Check
from engines import jars, registry
from engines.errors import EnvironmentNotReady


@pytest.fixture
def poor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the doctor on a machine that lacks everything it can lack."""

    def missing() -> None:
        raise EnvironmentNotReady("one.jar is missing. Repair: `python -m engines.jars`.")

    def engine(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(jars, "broker_classpath", missing)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**30))
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 1024))
    monkeypatch.setattr(registry, "get", engine)


@pytest.mark.usefixtures("poor")
def test_every_failure_has_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    found = {check.name: check for check in doctor.checks()}
    failed = {name for name, check in found.items() if not check.ok}
    assert {"jars", "memory", "open files", *(f"engine {name}" for name in registry.names())} <= failed
    assert all(found[name].remedy for name in failed)
    assert "python -m engines.jars" in found["jars"].remedy
    assert doctor.main() == doctor.NOT_READY
    assert "NO" in capsys.readouterr().out


def test_all_well_is_exit_code_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "checks", lambda: [Check("Python", True, "3.11.7", "never shown")])
    assert doctor.main() == 0
    assert "never shown" not in capsys.readouterr().out


def test_every_engine_and_each_need_is_looked_at() -> None:
    names = [check.name for check in doctor.checks()]
    assert names[:4] == ["Python", "Java", "jars", "memory"]
    assert [name for name in names if name.startswith("engine ")] == [f"engine {name}" for name in registry.names()]
