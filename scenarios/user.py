"""A user's own scenario: a Python file with `SCENARIO = Scenario(...)`, or `SCENARIO` a function that returns one."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from scenarios.scenario import InvalidScenario, Scenario
from semantics.errors import WeirError


def load(path: Path) -> Scenario:
    """Run the file and return its scenario. Raises `InvalidScenario`."""
    if path.suffix == ".jsonl":
        raise InvalidScenario(
            f"{path} holds events, and no pipeline: write a scenario file with events=replay({str(path)!r})"
            " (scenarios/replay.py), and name that."
        )
    if not path.is_file():
        raise InvalidScenario(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location("scenario_of_user", path)
    if spec is None or spec.loader is None:
        raise InvalidScenario(f"{path} is no Python file: a scenario's name ends with .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # A dataclass in the file looks its own module up.
    try:
        spec.loader.exec_module(module)
        found = getattr(module, "SCENARIO", None)
        found = found() if callable(found) else found
    except WeirError as error:
        raise InvalidScenario(f"{path}: {error}") from error
    except Exception as error:
        # The user's own code: what went wrong there, and in which line of theirs.
        where = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = getattr(error, "lineno", None) or (where[-1] if where else None)
        at = f", line {line}" if line else ""
        raise InvalidScenario(f"{path}{at}: {type(error).__name__}: {error}.") from error
    if not isinstance(found, Scenario):
        raise InvalidScenario(f"{path} has no SCENARIO = Scenario(...); scenarios/running_count.py shows one.")
    return replace(found, file=str(path))
