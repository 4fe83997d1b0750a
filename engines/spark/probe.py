"""Spark as an engine that can be probed: one JVM in a child process, a few combinations at a time. No Kafka."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from engines import jars, java
from engines.contract import Profile
from engines.probing import Answer, Probe, Prober, Statement
from engines.process import Child, remove_dir, scratch_dir
from engines.spark.facts import facts
from engines.spark.guide import STATEMENTS
from engines.spark.probes import AREAS, HOW, matrix
from engines.spark.session import environment, settings

_AT_ONCE = 3
"""Two fill two cores; the third is planned meanwhile."""
_READY_WITHIN = timedelta(seconds=60)
_ANSWER_WITHIN = timedelta(seconds=180)
"""The child itself gives a query 60 s; some facts run several, one after another."""
_ASKED = ("area", "operator", "form", "watermark", "mode")


class SparkProber:
    """Asks the Spark that is installed."""

    engine = "spark"
    title = "Spark Structured Streaming"
    how = HOW
    areas: Mapping[str, str] = AREAS
    probes: Sequence[Probe] = (*matrix(), *facts())
    statements: Sequence[Statement] = STATEMENTS
    record = Path(__file__).with_name("probes.json")

    def versions(self) -> Mapping[str, str]:
        from importlib.metadata import version

        return {"pyspark": version("pyspark"), "java": java.find().version}

    async def ask(self, probes: Sequence[Probe], logs: Path, say: Callable[[str], None]) -> Mapping[str, Answer]:
        found = await asyncio.to_thread(java.find)
        classpath = await asyncio.to_thread(jars.spark_classpath)
        scratch = scratch_dir("probe")
        conf = settings(Profile.SUITE, jobs=1, classpath=classpath, local_dir=scratch, java=found)
        # The real-time trigger wants a slot for every task of a query at once, beside those of the other probes.
        conf |= {"spark.master": "local[8]", "spark.ui.showConsoleProgress": "false"}
        argv = [sys.executable, "-m", "engines.spark.probe_worker"]
        child = Child("spark-probe", argv, log=logs / "spark-probe.log", env=environment(found), talk=True)
        answers: dict[str, Answer] = {}
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one(probe: Probe) -> None:
            async with turn:
                asked: dict[str, Any] = {name: getattr(probe, name) for name in _ASKED}
                answers[probe.id] = Answer(**await child.request("probe", within=_ANSWER_WITHIN, **asked))
                say(f"{len(answers)} of {len(probes)} probes")

        try:
            await child.ready(within=_READY_WITHIN)
            await child.request("open", within=_READY_WITHIN, conf=conf)
            async with asyncio.TaskGroup() as group:
                for probe in probes:
                    group.create_task(one(probe))
            await child.request("stop", within=_READY_WITHIN)
            await child.end(within=_READY_WITHIN)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            child.kill()
            remove_dir(scratch)
        return {probe.id: answers[probe.id] for probe in probes}


PROBER: Prober = SparkProber()
