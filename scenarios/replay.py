"""Events from a file, as a generator: one JSON object a line, as it lies on the log.

    {"k": "user-7", "i": "e1", "v": 3, "t": 1767225600000000}

`k` is the key, `t` the event time in microseconds since 1970; `v` (default 1) and `i` (default: its number) may be
left out, other fields are ignored. Events go out in the order of the file, at the rate of the bench.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from scenarios.scenario import Generate, InvalidScenario
from semantics.time import T0_US
from semantics.timeline import Event


class _Line(msgspec.Struct):
    k: str
    t: int
    v: int = 1
    i: str = ""


def replay(path: str | Path) -> Generate:
    """Return the generator of the events in a JSON-lines file, a relative path counted from the current folder.

    If more are needed than the file holds it starts again, all times moved on by the file's own span. Raises
    `InvalidScenario` when run, with the number of a line that cannot be read.
    """

    def events(random: np.random.Generator, due_us: Sequence[int]) -> Iterator[Event]:
        del random  # Nothing is drawn: the file says it all.
        lines = _read(Path(path))
        times = [line.t for line in lines]
        span_us = max(times) - min(times) + 1
        for number in range(len(due_us)):
            rounds, at = divmod(number, len(lines))
            line = lines[at]
            id = line.i or f"e{at}"
            time_us = line.t - T0_US + rounds * span_us
            yield Event(line.k, time_us, f"{id}-{rounds}" if rounds else id, line.v)

    return events


def _read(path: Path) -> list[_Line]:
    decode = msgspec.json.Decoder(_Line).decode
    lines: list[_Line] = []
    try:
        texts = path.read_bytes().splitlines()
    except OSError as error:
        raise InvalidScenario(f"Cannot replay {path}: {error.strerror}.") from error
    for number, text in enumerate(texts, 1):
        try:
            if text.strip():
                lines.append(decode(text))
        except msgspec.MsgspecError as error:
            raise InvalidScenario(f"{path}, line {number}: {error}.") from error
    if not lines:
        raise InvalidScenario(f"{path} holds no event.")
    return lines
