from __future__ import annotations

from pathlib import Path

import pytest

from bench.micro import quix
from bench.micro.quix import QuixStreams
from bench.micro.work import WORKS


def test_the_lock_is_of_the_version_that_is_told() -> None:
    assert f"quixstreams=={quix.VERSION} \\" in quix.LOCK.read_text()


def test_without_its_environment_it_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEIR_CACHE", str(tmp_path))
    assert "python -m bench.micro.quix" in QuixStreams().lacks(WORKS["running-count"])
    assert QuixStreams().lacks(WORKS["session"]) == "not written for it"
