"""Children answer, fail and die as promised, and nothing of ours outlives us: with real processes and real signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from engines import process
from engines.errors import Deadline, EngineFailed
from engines.process import Child, exception_in, remove_dir, scratch_dir
from engines.warden import group, runs

WITHIN = timedelta(seconds=20)
SHORT = timedelta(milliseconds=200)
ROOT = Path(__file__).parents[2]

ANSWERS = """
import json, sys, time
print("a library says hello", flush=True)
print(json.dumps({"ready": {"pid": 7}}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    match asked["do"]:
        case "add":
            answer = {"ok": {"sum": asked["a"] + asked["b"]}}
        case "fail":
            print("about to fail", file=sys.stderr, flush=True)
            answer = {"error": "no such key", "class": "KeyError"}
        case "die":
            print("last words", file=sys.stderr, flush=True)
            sys.exit(3)
        case "raise":
            raise ValueError("no more")
        case "hang":
            continue
    print(json.dumps({"id": asked["id"], **answer}), flush=True)
"""


def until(condition: Callable[[], object], says: str) -> None:
    """Wait for a condition that a real process must bring about."""
    deadline = time.monotonic() + WITHIN.total_seconds()
    while not condition():
        assert time.monotonic() < deadline, says
        time.sleep(0.01)  # Between two looks.


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    started = Child("worker", [sys.executable, "-c", ANSWERS], log=tmp_path / "worker.log", talk=True)
    yield started
    started.kill()


async def test_a_child_is_ready_and_answers(child: Child) -> None:
    assert await child.ready(within=WITHIN) == {"pid": 7}
    assert await child.request("add", a=1, b=2, within=WITHIN) == {"sum": 3}


async def test_an_error_answered_names_its_class_and_shows_the_log(child: Child) -> None:
    with pytest.raises(EngineFailed, match=r"(?s)worker: KeyError: no such key.*about to fail"):
        await child.request("fail", within=WITHIN)
    assert await child.request("add", a=1, b=1, within=WITHIN) == {"sum": 2}


async def test_death_in_mid_request_is_told_with_code_and_log(child: Child) -> None:
    with pytest.raises(EngineFailed, match=r"(?s)ended with exit code 3.*last words"):
        await child.request("die", within=WITHIN)


@pytest.mark.parametrize(
    ("do", "exception"), [("fail", "KeyError: no such key"), ("raise", "ValueError: no more"), ("die", "")]
)
async def test_an_error_names_the_exception_of_the_child(child: Child, do: str, exception: str) -> None:
    with pytest.raises(EngineFailed) as error:
        await child.request(do, within=WITHIN)
    assert error.value.exception == exception


async def test_an_exception_of_an_earlier_process_is_not_that_of_the_next(tmp_path: Path) -> None:
    for do, exception in (("raise", "ValueError: no more"), ("die", "")):
        child = Child("worker", [sys.executable, "-c", ANSWERS], log=tmp_path / "worker.log", talk=True)
        with pytest.raises(EngineFailed) as error:
            await child.request(do, within=WITHIN)
        child.kill()
        assert error.value.exception == exception


def test_the_exception_of_a_text_is_that_of_its_last_traceback() -> None:
    text = """2026-01-01 WARNING Traceback (most recent call last): not one
Traceback (most recent call last):
  File "a.py", line 1, in a
    f()
    ^^^
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in b
aiokafka.errors.ProducerFenced: [Error 90] ProducerFenced
another line of the log
"""
    assert exception_in(text) == "aiokafka.errors.ProducerFenced: [Error 90] ProducerFenced"
    assert exception_in("KeyError: 'a'") == ""


async def test_a_request_to_the_dead_fails_at_once(child: Child) -> None:
    await child.ready(within=WITHIN)
    os.killpg(child.pid, signal.SIGKILL)
    with pytest.raises(EngineFailed, match="SIGKILL"):
        await child.request("add", a=1, b=1, within=WITHIN)
    with pytest.raises(EngineFailed, match="SIGKILL"):
        await child.request("add", a=1, b=1, within=timedelta(days=1))


async def test_silence_is_a_deadline_that_says_for_what(child: Child) -> None:
    await child.ready(within=WITHIN)
    with pytest.raises(Deadline, match="worker to answer 'hang'"):
        await child.request("hang", within=SHORT)
    assert await child.request("add", a=2, b=2, within=WITHIN) == {"sum": 4}


async def test_a_stopped_child_answers_after_it_is_resumed(child: Child) -> None:
    await child.ready(within=WITHIN)
    child.pause()
    with pytest.raises(Deadline):
        await child.request("add", a=1, b=1, within=SHORT)
    child.resume()
    assert await child.request("add", a=1, b=2, within=WITHIN) == {"sum": 3}


async def test_a_full_pipe_of_a_stopped_child_does_not_hold_the_deadline(child: Child) -> None:
    await child.ready(within=WITHIN)
    child.pause()
    with pytest.raises(Deadline):
        await asyncio.wait_for(child.request("add", a=1, b=1, more="x" * 1_000_000, within=SHORT), 10)
    child.resume()
    assert await child.request("add", a=1, b=2, within=WITHIN) == {"sum": 3}


def test_a_group_that_outlives_its_kill_stays_the_wardens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child("ghost", ["sleep", "60"], log=tmp_path / "log")
    with monkeypatch.context() as ghostly:
        ghostly.setattr(process, "group", lambda _: [psutil.Process()])
        ghostly.setattr(process, "await_gone", lambda _: None)
        child.kill()
        assert not child.gone
    child.kill()
    assert child.gone


async def test_terminate_lets_it_end_and_kills_the_stubborn(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    )
    child = Child("mule", [sys.executable, "-c", stubborn], log=tmp_path / "log")
    until(lambda: (tmp_path / "log").read_text(), "it never started")
    ended = await child.terminate(within=SHORT)
    assert not child.alive()
    assert (ended.forced, ended.clean) == (True, False)
    child.kill()  # Once more is nothing.


@pytest.mark.parametrize(
    ("last", "says"),
    [
        ("sys.exit(0)", None),
        ("print('no commit', flush=True), sys.exit(70)", r"(?s)exit code 70.*no commit"),
        ("time.sleep(600)", "only by SIGKILL"),
    ],
)
async def test_a_graceful_end_is_verified(tmp_path: Path, last: str, says: str | None) -> None:
    code = f"import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: ({last},))"
    child = Child(
        "worker", [sys.executable, "-c", f"{code}; print('up', flush=True); time.sleep(600)"], log=tmp_path / "log"
    )
    until(lambda: "up" in (tmp_path / "log").read_text(), "it never started")
    if says is None:
        await child.end(within=WITHIN)
    else:
        with pytest.raises(EngineFailed, match=says):
            await child.end(within=SHORT if "SIGKILL" in says else WITHIN)
    assert child.gone
    await child.end(within=WITHIN)  # Once more is nothing.


def test_a_child_may_open_many_files(tmp_path: Path) -> None:
    low = "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (256, r.getrlimit(r.RLIMIT_NOFILE)[1]))"
    tell = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)"
    start = f"from engines.process import Child; from pathlib import Path; import sys; {low}\n"
    start += f"child = Child('c', [sys.executable, '-c', {tell!r}], log=Path({str(tmp_path / 'log')!r}))\n"
    subprocess.run([sys.executable, "-c", f"{start}child.ended()"], cwd=ROOT, check=True)
    soft, hard = json.loads((tmp_path / "log").read_text().replace("(", "[").replace(")", "]"))
    assert soft == (65536 if hard < 0 else min(65536, hard))


def test_kill_takes_the_grandchildren_and_counts_their_cpu(tmp_path: Path) -> None:
    family = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    child = Child("family", [sys.executable, "-c", family], log=tmp_path / "log")
    until(lambda: len(group(child.pid)) == 2 and child.cpu_seconds() > 0.2, "no grandchild at work")
    members = group(child.pid)
    child.kill()
    assert not any(map(runs, members))


def test_a_grandchild_is_killed_though_its_parent_has_gone(tmp_path: Path) -> None:
    orphan = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    child = Child("parent", [sys.executable, "-c", orphan], log=tmp_path / "log")
    until(lambda: not child.alive(), "the parent did not end")
    (left,) = group(child.pid)
    child.kill()
    assert not runs(left)


def test_a_scratch_directory_goes_when_it_is_removed() -> None:
    path = scratch_dir("test")
    (path / "file").write_text("x")
    remove_dir(path)
    assert not path.exists()


HOLDER = """
import json, sys, time
from pathlib import Path
from engines.process import Child, scratch_dir
from engines.warden import group
scratch = scratch_dir("test")
grandchild = "import time; print('up', flush=True); time.sleep(600)"
family = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
child = Child("family", [sys.executable, "-c", family], log=scratch / "log")
while "up" not in child.log.read_text():
    time.sleep(0.01)
print(json.dumps({"pids": [member.pid for member in group(child.pid)], "scratch": str(scratch)}), flush=True)
END
"""


SLEEP = "time.sleep(600)"


def hears_signals() -> None:
    """Undo what a shell does to background jobs: they ignore Ctrl-C, and so would all that we start."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("end", "sent", "code"),
    [
        pytest.param(SLEEP, signal.SIGKILL, -signal.SIGKILL, id="SIGKILL"),
        pytest.param(SLEEP, signal.SIGTERM, -signal.SIGTERM, id="SIGTERM"),
        pytest.param(SLEEP, signal.SIGHUP, -signal.SIGHUP, id="SIGHUP"),
        pytest.param(SLEEP, signal.SIGINT, -signal.SIGINT, id="Ctrl-C"),
        pytest.param("raise RuntimeError", None, 1, id="an error"),
        pytest.param("", None, 0, id="the end"),
    ],
)
def test_nothing_outlives_us_however_we_end(end: str, sent: signal.Signals | None, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER.replace("END", end)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=hears_signals,
    ) as holder:
        try:
            assert holder.stdout is not None
            told = json.loads(holder.stdout.readline())
            assert len(told["pids"]) == 2
            if sent is not None:
                assert all(map(_alive, told["pids"]))
                assert Path(told["scratch"]).is_dir()
                os.killpg(holder.pid, sent)
            assert holder.wait(WITHIN.total_seconds()) == code
        finally:
            holder.kill()
        until(lambda: not any(map(_alive, told["pids"])), "a child or grandchild outlived us")
        until(lambda: not Path(told["scratch"]).exists(), "the scratch directory was left")


def _alive(pid: int) -> bool:
    try:
        return runs(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


FORKS = """
import os, sys
held = bytearray(b"x") * 100_000_000
print('{"ready": {}}', flush=True)
for line in sys.stdin:
    if os.fork() == 0:
        os.read(0, 1)
    print('{"id": 1, "ok": {}}', flush=True)
"""


async def test_the_memory_of_a_forked_process_is_counted_once_it_is_seen_to_stay(tmp_path: Path) -> None:
    child = Child("forks", [sys.executable, "-c", FORKS], log=tmp_path / "forks.log", talk=True)
    try:
        await child.ready(within=WITHIN)
        before = child.resident_bytes()
        await child.request("fork", within=WITHIN)
        first, second = child.resident_bytes(), child.resident_bytes()
    finally:
        child.kill()
    assert before > 100_000_000
    assert first < 1.5 * before < second
