"""Every engine under a small load: right answers, and figures. A busy machine may measure too inexactly to decide."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engines import registry

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", registry.installed())
def test_answers_are_right_and_figures_are_there(broker: str, tmp_path: Path, name: str) -> None:
    asked = ["--engine", name, "--rate", "500", "--duration", "5", "--json", "--broker", broker, "--output", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *map(str, asked)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, 3), done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["figures"] is not None, result["reason"]
    assert result["figures"]["samples"] == 2500
    assert result["figures"]["state"]["rows"] == result["figures"]["keys"]
