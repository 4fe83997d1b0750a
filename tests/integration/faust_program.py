"""A program of a user's with the library, started by Faust's own command line."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from engines.broker.log import KafkaLog
from engines.contract import Message, Place
from engines.process import Child

WITHIN = timedelta(seconds=60)
PROGRAM = """
import os
from engines.faust import library
from semantics.expr import ID
from semantics.pipeline import Aggregate, Emit, KeyBy, Source

name = os.environ["WEIR_NAME"]
app = library.app(
    name, Aggregate(KeyBy(Source(), ID), emit=Emit.UPDATE), inputs={"in": f"{name}-in"}, output=f"{name}-out",
    dead_letters=f"{name}-dead", partitions=2, broker=os.environ["WEIR_BROKER"], state_dir=os.environ["WEIR_STATE"],
)
"""
"""Two stages: a changelog each, and a repartition topic between them."""


class Running:
    """A program of a user's, under a name of its own."""

    def __init__(
        self, broker: str, log: KafkaLog, folder: Path, program: str = PROGRAM, inputs: Collection[str] = ("in",)
    ) -> None:
        self.name = f"library-{os.getpid()}-{folder.name}"
        self.broker, self.log, self.folder = broker, log, folder
        self.admin = AdminClient({"bootstrap.servers": broker})
        (folder / "program.py").write_text(program)
        log.create({f"{self.name}-{topic}": 2 for topic in (*inputs, "out", "dead")})
        self.out: Place = (f"{self.name}-out", 0)
        self.starts = 0
        self.changelog = f"{self.name}-{self.name}-changelog"
        self.repartition = f"{self.name}-{self.name}-0-rekeyed"

    def start(self) -> Child:
        self.starts += 1
        argv = [sys.executable, "-m", "faust", "-A", "program", "worker", "--without-web", "-l", "info"]
        told = {"WEIR_NAME": self.name, "WEIR_BROKER": self.broker, "WEIR_STATE": str(self.folder / "state")}
        path = os.pathsep.join([str(self.folder), str(Path(__file__).parents[2])])
        log, env = self.folder / f"program-{self.starts}.log", os.environ | told | {"PYTHONPATH": path}
        return Child("program", argv, log=log, env=env)

    def send(self, ids: str) -> None:
        """Append an event an id; all ids of this test go to the first partition."""
        value = '{"k": "x", "i": "%s", "v": 1, "t": 0}'
        self.log.append({(f"{self.name}-in", 0): [Message(None, (value % id).encode()) for id in ids]})

    def counts(self) -> Mapping[str, list[int]]:
        """Return the counts of every id in the output, in order."""
        ends = self.log.ends([(f"{self.name}-out", partition) for partition in range(2)])
        found: dict[str, list[int]] = {}
        for messages in self.log.read({place: (0, end) for place, end in ends.items()}).values():
            for message in messages:
                row = json.loads(message.value or b"")
                found.setdefault(row["k"], []).append(row["n"])
        return found

    def await_counts(self, **least: int) -> None:
        """Wait until every id was counted that far."""
        deadline = time.monotonic() + WITHIN.total_seconds()
        while any(id not in (found := self.counts()) or found[id][-1] < count for id, count in least.items()):
            assert time.monotonic() < deadline, f"waited {WITHIN.seconds} s for {least}; last: {found}"
            time.sleep(0.05)

    def replace_topic(self, name: str, partitions: int = 2) -> None:
        """Delete a topic and create it again."""
        [deleted] = self.admin.delete_topics([name]).values()
        deleted.result(timeout=30)
        self.log.create({name: partitions})

    def await_rows(self, end: int) -> None:
        self.log.read({self.out: (0, end)}, within=timedelta(seconds=60))

    def set(self, topic: str, setting: str, value: str) -> None:
        entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        [done] = self.admin.incremental_alter_configs(
            [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
        ).values()
        done.result(timeout=30)

    def refused(self, says: str) -> None:
        """Start it, and see it refuse with one line, and the documented exit code."""
        self.ended(self.start(), says)

    def ended(self, worker: Child, says: str) -> None:
        """See it end with one line, and the documented exit code."""
        ended = worker.ended()
        assert "exit code 70" in str(ended), ended
        [line] = [line for line in worker.log.read_text().splitlines() if says in line]
        assert self.name in line
