"""The broker and the log on it, for real: what is appended whole, read exactly, seen when committed, left when dead."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import re
import shutil
import signal
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from engines import jars, java
from engines.broker.kraft import Broker
from engines.broker.log import KafkaLog
from engines.contract import Message, Place
from engines.errors import BrokerRefused, BrokerUnavailable, Deadline, DiskFull, EnvironmentNotReady
from engines.jars import Jar

pytestmark = pytest.mark.integration
PREFIX = f"weir-test-{os.getpid()}"
SHORT = timedelta(milliseconds=300)
MS_2026 = 1_767_225_600_000
_numbers = itertools.count()


@pytest.fixture(scope="module")
def log(broker: str) -> Iterator[KafkaLog]:
    with KafkaLog(broker, PREFIX) as log:
        yield log


@pytest.fixture
def topic(log: KafkaLog) -> str:
    """Create a topic of two partitions."""
    name = f"{PREFIX}-{next(_numbers)}"
    log.create({name: 2})
    return name


def messages(*values: str) -> list[Message]:
    return [Message(b"k", value.encode(), MS_2026) for value in values]


def values(read: Mapping[Place, Sequence[Message]], place: Place) -> list[str]:
    return [(message.value or b"").decode() for message in read[place]]


@pytest.fixture
def producer(broker: str) -> Producer:
    """Return a transactional producer, as an engine has one."""
    producer = Producer({"bootstrap.servers": broker, "transactional.id": f"{PREFIX}-{next(_numbers)}"})
    producer.init_transactions()
    return producer


def write(producer: Producer, topic: str, *written: str, commit: bool | None) -> None:
    """Write one transaction into partition 0; `commit` None leaves it open."""
    producer.begin_transaction()
    for value in written:
        producer.produce(topic, value, partition=0)
    producer.flush()
    if commit is not None:
        (producer.commit_transaction if commit else producer.abort_transaction)()


def test_what_is_appended_is_read_back_as_it_was(log: KafkaLog, topic: str) -> None:
    sent = [Message(b"k", b"v", MS_2026), Message(None, b"\xff", 0), Message(b"", None, MS_2026 + 10**12)]
    assert log.append({(topic, 0): sent, (topic, 1): messages("x")}) == {(topic, 0): 3, (topic, 1): 1}
    read = log.read({(topic, 0): (0, 3), (topic, 1): (0, 1)})
    assert [(m.key, m.value, m.offset) for m in read[topic, 0]] == [(b"k", b"v", 0), (None, b"\xff", 1), (b"", None, 2)]
    assert [read[topic, 0][0].timestamp_ms, read[topic, 0][2].timestamp_ms] == [MS_2026, MS_2026 + 10**12]
    assert values(read, (topic, 1)) == ["x"]


def test_ranges_are_exact_in_any_order(log: KafkaLog, topic: str) -> None:
    log.append({(topic, 0): messages("a", "b"), (topic, 1): messages("x")})
    assert log.append({(topic, 0): messages("c", "d")}) == {(topic, 0): 4}
    place = (topic, 0)
    for first, end in ((1, 3), (3, 4), (0, 4), (0, 1), (2, 2)):
        assert values(log.read({place: (first, end)}), place) == ["a", "b", "c", "d"][first:end]


def test_committed_records_are_seen_and_aborted_ones_are_not(log: KafkaLog, topic: str, producer: Producer) -> None:
    write(producer, topic, "a", "b", commit=True)
    write(producer, topic, "lost", commit=False)
    write(producer, topic, "c", commit=True)
    place = (topic, 0)
    assert values(log.read({place: (0, 7)}), place) == ["a", "b", "c"]  # To 7: four records and three markers.
    assert log.ends([place]) == {place: 7}
    assert values(log.read({place: (0, 7)}, committed=False), place) == ["a", "b", "lost", "c"]
    assert values(log.read({place: (2, 5)}), place) == []  # A marker, an aborted record, its marker.


def test_an_open_transaction_holds_the_stable_end_back(log: KafkaLog, topic: str, producer: Producer) -> None:
    place = (topic, 0)
    write(producer, topic, "a", commit=True)
    log.read({place: (0, 2)})  # A commit that has returned is visible only when its marker is written.
    write(producer, topic, "b", commit=None)
    assert log.ends([place]) == {place: 2}
    assert log.ends([place], committed=False) == {place: 3}
    assert values(log.read({place: (0, 3)}, committed=False), place) == ["a", "b"]
    with pytest.raises(Deadline, match=rf"{topic}/0 stands at [0-2], not yet at 3"):
        log.read({place: (0, 3)}, within=SHORT)
    producer.commit_transaction()
    assert values(log.read({place: (0, 3)}), place) == ["a", "b"]


async def test_a_read_waits_until_the_log_has_come_so_far(log: KafkaLog, topic: str) -> None:
    place = (topic, 0)
    reading = asyncio.create_task(asyncio.to_thread(log.read, {place: (0, 2)}))
    await asyncio.to_thread(log.append, {place: messages("a")})
    assert not reading.done()
    await asyncio.to_thread(log.append, {place: messages("b")})
    assert values(await reading, place) == ["a", "b"]


async def test_threads_do_not_mix(log: KafkaLog, topic: str) -> None:
    async def one(number: int) -> None:
        name = f"{topic}-{number}"
        await asyncio.to_thread(log.create, {name: 1})
        place = (name, 0)
        for step in range(5):
            end = (await asyncio.to_thread(log.append, {place: messages(f"{number}.{step}")}))[place]
            assert values(await asyncio.to_thread(log.read, {place: (end - 1, end)}), place) == [f"{number}.{step}"]

    await asyncio.gather(*(one(number) for number in range(6)))


def test_compaction_is_asked_for_and_times_are_free(log: KafkaLog, broker: str) -> None:
    name = f"{PREFIX}-{next(_numbers)}"
    log.create({name: 1}, compact=True)
    settings = _settings(broker, name)
    assert settings["cleanup.policy"] == "compact"
    assert settings["retention.ms"] == "-1"
    assert settings["message.timestamp.after.max.ms"] == settings["message.timestamp.before.max.ms"] == str(2**63 - 1)


def test_ends_of_new_topics_are_known_at_once(log: KafkaLog) -> None:
    """Metadata names a leader before that leader answers: seen with 260 of 300 topics."""
    for _ in range(20):
        name = f"{PREFIX}-{next(_numbers)}"
        log.create({name: 2})
        assert log.ends([(name, 0), (name, 1)]) == {(name, 0): 0, (name, 1): 0}


def test_only_what_a_log_created_goes_with_it(log: KafkaLog, broker: str, topic: str) -> None:
    mine = f"{PREFIX}-{next(_numbers)}"
    with KafkaLog(broker) as other:
        with pytest.raises(BrokerRefused, match="already exists"):
            other.create({topic: 2, mine: 1})
        other.append({(topic, 0): messages("a")})
        other.append({(mine, 0): messages("a")})
    assert values(log.read({(topic, 0): (0, 1)}), (topic, 0)) == ["a"]
    with pytest.raises(BrokerRefused, match="ends of partitions"):
        log.ends([(mine, 0)])


def test_a_topic_that_is_not_there_is_refused(log: KafkaLog) -> None:
    nowhere = (f"{PREFIX}-nowhere", 0)
    with pytest.raises(BrokerRefused):
        log.append({nowhere: messages("a")})
    with pytest.raises(BrokerRefused):
        log.read({nowhere: (0, 1)})


def batches(segment: bytes) -> list[tuple[int, int]]:
    """Return the first and last offset of each record batch (format 2) of a log segment."""
    found, at = [], 0
    while at < len(segment):
        first, length, _epoch, _magic, _crc, _attributes, last = struct.unpack_from(">qiibIhi", segment, at)
        found.append((first, first + last))
        at += 12 + length  # The first offset and the length itself are not counted in it.
    return found


def test_a_step_is_one_batch_even_the_first_of_a_topic(tmp_path: Path) -> None:
    with Broker(logs=tmp_path) as broker, KafkaLog(broker.bootstrap) as log:
        topics = [f"t{number}" for number in range(40)]
        log.create(dict.fromkeys(topics, 1))
        for _ in range(3):
            log.append({(topic, 0): messages(*"abcdefgh") for topic in topics})
        arguments = next(arg for arg in psutil.Process(broker.pid).cmdline() if arg.endswith(".properties"))
        segments = sorted(Path(arguments).parent.glob("data-*/t*-0/*.log"))
        assert len(segments) == len(topics)
        assert [batches(segment.read_bytes()) for segment in segments] == [[(0, 7), (8, 15), (16, 23)]] * len(topics)


def test_a_broker_goes_with_its_data(tmp_path: Path) -> None:
    with Broker(logs=tmp_path) as broker:
        assert re.fullmatch(r"\d+\.\d+\.\d+", broker.version)
        process = psutil.Process(broker.pid)
        folder = Path(process.cmdline()[-1]).parent
        assert folder.is_dir()
    assert not process.is_running()
    assert not folder.exists()
    assert (tmp_path / "broker.log").stat().st_size > 0


def test_a_broker_that_dies_is_told_by_all_at_once(tmp_path: Path) -> None:
    with Broker(logs=tmp_path) as broker:
        log, place = KafkaLog(broker.bootstrap), ("t", 0)
        log.create({"t": 1})
        log.append({place: messages("a")})
        assert values(log.read({place: (0, 1)}), place) == ["a"]
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(broker.pid)] if psutil.pid_exists(broker.pid) else [])
        with pytest.raises(BrokerUnavailable):
            log.append({place: messages("b")})
        with pytest.raises(BrokerUnavailable):
            log.read({place: (0, 2)})
        with pytest.raises(BrokerUnavailable):
            log.ends([place])
        with pytest.raises(BrokerUnavailable):
            log.create({"u": 1})
        with pytest.raises(BrokerUnavailable):
            log.close()


def test_a_broker_without_room_says_so_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=3 << 10)

    broker = Broker(logs=tmp_path)
    with pytest.raises(DiskFull, match=r"The broker ended: .* has 3 KiB left.*TMPDIR"), broker:  # noqa: PT012
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(broker.pid)])
        monkeypatch.setattr(shutil, "disk_usage", full)
        KafkaLog(broker.bootstrap).create({"t": 1})
    with pytest.raises(DiskFull, match=r"The broker was not started: .* has 3 KiB left.*TMPDIR"):
        Broker(logs=tmp_path)


def test_jars_come_from_a_mirror_and_only_as_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch with the real Ivy: two versions of one jar, then one whose bytes are not those of the lock."""
    java.find()  # Found before the cache moves: its shim, if it needs one, stays where it is.
    monkeypatch.setenv("WEIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", (tmp_path / "mirror").as_uri())
    wanted = tuple(_publish(tmp_path / "mirror", version) for version in ("1.0", "2.0"))
    jars.fetch(wanted)
    assert jars.faults(wanted) == {}
    forged = _publish(tmp_path / "mirror", "3.0", forged=True)
    with pytest.raises(EnvironmentNotReady, match=r"one-3\.0\.jar came, but has .*not kept"):
        jars.fetch((forged,))
    missing = Jar("org.example", "one", "4.0", "0" * 64, 1)
    with pytest.raises(EnvironmentNotReady, match="1 of 1 jars could not be fetched"):
        jars.fetch((missing,))
    assert {path.name for path in (tmp_path / "cache" / "jars").iterdir()} == {jar.file for jar in wanted}


def _publish(mirror: Path, version: str, *, forged: bool = False) -> Jar:
    content = f"one {version}".encode()
    folder = mirror / "org" / "example" / "one" / version
    folder.mkdir(parents=True)
    (folder / f"one-{version}.jar").write_bytes(content)
    locked = b"not " + content if forged else content
    return Jar("org.example", "one", version, hashlib.sha256(locked).hexdigest(), len(locked))


def _settings(broker: str, topic: str) -> dict[str, str]:
    admin, asked = AdminClient({"bootstrap.servers": broker}), ConfigResource(ResourceType.TOPIC, topic)
    answer = admin.describe_configs([asked])[asked].result(10)
    return {name: entry.value for name, entry in answer.items()}
