"""The whole bench on a real broker: figures for right answers, none for wrong ones, nothing left when interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from bench import load, probe
from bench.__main__ import main
from bench.latency import percentiles, slip_gate
from bench.plan import due_us, intended_ns
from engines.broker.log import KafkaLog
from engines.process import Child
from scenarios.running_count import SCENARIO
from semantics.time import T0_US
from semantics.timeline import Event

pytestmark = pytest.mark.integration
WITHIN = timedelta(seconds=30)
LOAD = ["--rate", "400", "--duration", "5", "--warmup", "1"]


def bench(broker: str, output: Path, *more: str) -> list[str]:
    return ["--broker", broker, "--output", str(output), *LOAD, *more]


def drawn(seed: int, count: int, rate: float) -> list[Event]:
    return list(SCENARIO.generate(seed, due_us(intended_ns(count, rate))))


def only_run(output: Path) -> Path:
    (run,) = output.iterdir()
    return run


def test_right_answers_are_measured(broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(bench(broker, tmp_path, "--engine", "reference", "--json"))
    told = json.loads(capsys.readouterr().out)
    (result,) = told["results"]
    figures = result["figures"]
    # On a machine under load the generator may be late; then the bench must say so, by its own rule.
    gate = slip_gate(figures["slip_ns"]["p99"], figures["latency_ns"]["p50"])
    assert (code, result["outcome"], result["reason"]) == ((3, "undecided", gate) if gate else (0, "right", ""))
    assert figures["samples"] == 2000
    assert figures["state"]["rows"] == figures["keys"] == len({event.key for event in drawn(1, 2400, 400)})
    assert figures["cpu_s_per_million"] is None
    assert (figures["rows"], figures["events"]) == (2400, 2400)
    assert result["guarantee"] == "exactly-once"

    run = only_run(tmp_path)
    assert told["run"] == str(run)
    raw = np.load(run / "reference-running-count" / "latency.npy")
    assert raw.min() > 0
    assert percentiles(raw) == figures["latency_ns"]
    assert json.loads((run / "run.json").read_text())["status"] == "complete"
    (line,) = (run / "bench.jsonl").read_text().splitlines()
    assert json.loads(line) == {"schema": 1} | result


def test_wrong_answers_have_no_figures(broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Two updates of one key must meet in one batch: at this rate some twenty do, at a tenth of it perhaps none.
    assert main([*bench(broker, tmp_path, "--bug", "lost-update"), "--rate", "5000"]) == 1
    told = capsys.readouterr().out
    assert "WRONG: lost: the last count of a key is below its events sent" in told
    assert "no figures" in told
    assert json.loads((only_run(tmp_path) / "bench.jsonl").read_text())["figures"] is None
    assert not (only_run(tmp_path) / "reference-lost-update-running-count" / "latency.npy").exists()


def test_final_rows_of_windows_are_measured(broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(bench(broker, tmp_path, "--engine", "reference", "--scenario", "tumbling-count", "--json"))
    (result,) = json.loads(capsys.readouterr().out)["results"]
    figures = result["figures"]
    assert figures is not None, result["reason"]
    gate = slip_gate(figures["slip_ns"]["p99"], figures["latency_ns"]["p50"])
    assert (code, result["outcome"], result["reason"]) == ((3, "undecided", gate) if gate else (0, "right", ""))
    assert np.load(only_run(tmp_path) / "reference-tumbling-count" / "latency.npy").min() > 0
    assert figures["state"]["rows"] > 0


def test_wrong_final_rows_have_no_figures(broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(bench(broker, tmp_path, "--bug", "end-inclusive", "--scenario", "tumbling-count")) == 1
    assert "WRONG: lost: a window's final row never came" in capsys.readouterr().out


MINE = """
from pathlib import Path
from scenarios.replay import replay
from scenarios.scenario import Scenario
from semantics.pipeline import Aggregate, Function, Session, Source
from semantics.time import s

SCENARIO = Scenario(
    name="visits",
    claim="clicks a visit",
    pipeline=Aggregate(Source(delay=s(5)), (Function.COUNT, Function.SUM), window=Session(s(2))),
    events=replay(Path(__file__).with_name("clicks.jsonl")),
)
"""


def test_a_scenario_of_ones_own_is_benched_from_a_file(
    broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    with (tmp_path / "clicks.jsonl").open("w") as file:
        for number in range(500):
            time_us = T0_US + number * 100_000 - number % 7 * 500_000
            file.write(json.dumps({"k": f"user-{number % 40}", "t": time_us, "v": number}) + "\n")
    code = main(
        bench(broker, tmp_path / "runs", "--engine", "reference", "--scenario", str(tmp_path / "mine.py"), "--json")
    )
    (result,) = json.loads(capsys.readouterr().out)["results"]
    figures = result["figures"]
    assert figures is not None, result["reason"]
    assert code == (3 if slip_gate(figures["slip_ns"]["p99"], figures["latency_ns"]["p50"]) else 0)
    assert figures["samples"] > 0


def test_a_dead_broker_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(bench("127.0.0.1:1", tmp_path, "--engine", "reference")) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "No broker answers at 127.0.0.1:1" in line


def hears_ctrl_c() -> None:
    """Undo what a shell does to background jobs: they ignore it, and so would all that we start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_it_leaves_a_partial_run_and_no_process(broker: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "bench", *bench(broker, tmp_path, "--engine", "reference", "--duration", "60")]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, preexec_fn=hears_ctrl_c) as started:
        while len(_mentioning(tmp_path)) < 3:  # It, its generator, its probe.
            assert started.poll() is None
            time.sleep(0.05)
        os.kill(started.pid, signal.SIGINT)
        _, told = started.communicate()
    assert started.returncode == 130
    assert told.splitlines() == [
        "Interrupted; what was started is stopped. The run folder, if any, is marked partial."
    ]  # fmt: skip
    assert _mentioning(tmp_path) == []
    assert json.loads((only_run(tmp_path) / "run.json").read_text())["status"] == "partial"


async def test_generator_and_probe_agree_without_any_engine(broker: str, tmp_path: Path) -> None:
    """The loop-back: what the generator sends by schedule is what lies on the log, once, and all of it is read."""
    with KafkaLog(broker) as log:
        topic = f"loopback-{tmp_path.name}"
        log.create({topic: 2})
        tasks: dict[str, msgspec.Struct] = {
            "load": load.Task(
                bootstrap=broker,
                topic=topic,
                partitions=2,
                scenario=SCENARIO.name,
                seed=3,
                rate=1000,
                count=1000,
                sent=str(tmp_path / "sent.npy"),
            ),
            "probe": probe.Task(
                bootstrap=broker,
                topic=topic,
                partitions=2,
                rows=str(tmp_path / "rows.npy"),
                values=str(tmp_path / "rows.bin"),
            ),
        }
        children = {
            role: Child(
                role,
                [sys.executable, "-m", f"bench.{role}", msgspec.json.encode(task).decode()],
                log=tmp_path / f"{role}.log",
                talk=True,
            )
            for role, task in tasks.items()
        }
        try:
            for child in children.values():
                await child.ready(within=WITHIN)
            answer = await children["load"].request("run", within=WITHIN, start_ns=time.monotonic_ns())
            sent = msgspec.convert(answer, load.Sent, strict=False)
            written = log.ends([(topic, 0), (topic, 1)], committed=False)
            ends = {partition: end for (_, partition), end in written.items()}
            read = await children["probe"].request("until", within=WITHIN, within_s=20, ends=ends)
        finally:
            for child in children.values():
                child.kill()
        messages = log.read({(topic, number): (0, end) for number, end in ends.items()})
    assert sent.unsure == {}
    assert sum(ends.values()) == 1000
    assert read["reached"]
    rows = np.load(tmp_path / "rows.npy")
    assert sorted(zip(rows["partition"].tolist(), rows["offset"].tolist(), strict=True)) == [
        (number, offset) for number, end in sorted(ends.items()) for offset in range(end)
    ]
    expected = load.prepare(SCENARIO, drawn(3, 1000, 1000), 3)
    values = {(place[1], message.offset): message.value for place, found in messages.items() for message in found}
    read_in_order = [values[place] for place in zip(rows["partition"].tolist(), rows["offset"].tolist(), strict=True)]
    assert (tmp_path / "rows.bin").read_bytes() == b"".join(value or b"" for value in read_in_order)
    assert rows["size"].tolist() == [len(value or b"") for value in read_in_order]
    assert sorted((m.key, m.value) for place in messages.values() for m in place) == sorted(
        expected.at(number)[:2] for number in range(1000)
    )
    homes = {(message.key, place) for place, found in messages.items() for message in found}
    assert len(homes) == len({key for key, _ in homes})
    assert (np.load(tmp_path / "sent.npy") >= intended_ns(1000, 1000)).all()


def _mentioning(path: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(path) in line and process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            found.append(process)
    return found
