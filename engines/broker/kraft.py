"""A real Kafka broker of our own: one node, broker and controller in one, on free loopback ports, gone when we are.

`open_broker` gives it, or the user's own cluster, to a `with`.
"""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from engines import jars, java
from engines.broker.address import WANTED, is_address
from engines.broker.link import Link
from engines.broker.log import KafkaLog
from engines.contract import Message
from engines.errors import BrokerUnavailable, Deadline, DiskFull, EngineFailed, EnvironmentNotReady
from engines.process import Child, remove_dir, scratch_dir

START_WITHIN = timedelta(seconds=60)
"""A cold start takes 3 s, on a machine under load 10 s."""
STOP_WITHIN = timedelta(seconds=10)
"""A clean stop takes about 1 s; the data goes with it, so nothing is lost by a SIGKILL."""
ROOM_BYTES = 64 << 20
"""Free room for the data at the start: a small run fills 8 MB, so less than this is soon full."""
FULL_BYTES = 1 << 20
"""Less free room than this is a full disk: the broker needs more for its next segment."""
ANSWER_WITHIN = timedelta(seconds=5)
"""How long someone else's broker may take to say who it is."""

SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,DIRECT:PLAINTEXT",
    "inter.broker.listener.name": "DIRECT",
    "controller.listener.names": "CONTROLLER",
    "num.partitions": "1",
    # Topics come with explicit settings; one that appears by itself is a bug that must show.
    "auto.create.topics.enable": "false",
    # One node: every internal topic has one replica, and few partitions, which is quicker to start and to elect.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # A group starts as soon as its first member is there, and may notice a dead one after a second.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # Small: it shares two cores with the engines.
    "log.cleaner.dedupe.buffer.size": "2097152",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "1",
    "background.threads": "2",
}
"""The settings that are the same wherever the broker runs; `compose.yml` has them too, and a test compares."""
HEAP = ("-Xms384m", "-Xmx384m", "-XX:+UseSerialGC")
"""Enough for thousands of small topics."""
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.server=info",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


class RunningBroker(Protocol):
    """A broker that answers. A context manager: leaving it leaves nothing behind that it brought."""

    @property
    def bootstrap(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_broker(address: str | None, *, logs: Path) -> RunningBroker:
    """Return the cluster at `address` (HOST:PORT,...), or a broker of our own that logs into the folder `logs`."""
    return ExternalBroker(address) if address else Broker(logs=logs)


def server_properties(*, port: int, controller_port: int, data: Path) -> dict[str, str]:
    """Return all of `server.properties` for a broker on loopback."""
    return {
        **SETTINGS,
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "listeners": f"DIRECT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"DIRECT://127.0.0.1:{port}",
        "log.dirs": str(data),
    }


class Broker:
    """Our own broker, started at construction. Raises `EnvironmentNotReady`, `BrokerUnavailable`."""

    def __init__(self, *, logs: Path) -> None:
        self._java = java.find()
        self._jars = jars.broker_classpath()
        self._log = logs / "broker.log"
        logs.mkdir(parents=True, exist_ok=True)
        self._dir = scratch_dir("broker")
        try:
            if shutil.disk_usage(self._dir).free < ROOM_BYTES:
                raise self._full("The broker was not started")
            self._child, self.bootstrap = self._start_on_free_ports()
        except BaseException:
            remove_dir(self._dir)
            raise

    @property
    def version(self) -> str:
        """The broker's release, as its jar names it."""
        return next(m[1] for jar in self._jars if (m := re.fullmatch(r"kafka-server-(\d.*)\.jar", jar.name)))

    @property
    def pid(self) -> int | None:
        """The process, of which the nemesis may make use."""
        return self._child.pid

    def bounce(self, *, kill: bool = False) -> None:
        """Stop it (`kill`: by SIGKILL) and start it again."""
        self.halt(kill=kill)
        self.resume()

    def halt(self, *, kill: bool = False) -> None:
        """Stop it (`kill`: by SIGKILL), and keep its data and ports for `resume`."""
        if kill:
            self._child.kill()
        else:
            self._child.stop(within=STOP_WITHIN)

    def resume(self) -> None:
        """Start it again after `halt`, on the same ports and with the same data; return when it answers."""
        self._child = self._launch(int(self.bootstrap.rpartition(":")[2]))
        self._await_ready(self._child, self.bootstrap)

    def close(self) -> None:
        """Stop it, and remove its data. Nothing if that was done."""
        self._child.stop(within=STOP_WITHIN)
        remove_dir(self._dir)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        died = not self._child.alive() and not self._child.gone
        full = self._full("The broker ended") if died and shutil.disk_usage(self._dir).free < FULL_BYTES else None
        self.close()
        if full:
            raise full from error

    def _full(self, what: str) -> DiskFull:
        free = shutil.disk_usage(self._dir).free >> 10
        return DiskFull(
            f"{what}: {self._dir.parent} has {free} KiB left. Make room there, or name another folder by TMPDIR."
        )

    def _start_on_free_ports(self) -> tuple[Child, str]:
        """Start, once more if someone took a port between our finding it free and the broker's binding it."""
        for last in (False, True):
            port, controller_port = free_ports(2)
            properties = server_properties(port=port, controller_port=controller_port, data=self._dir / f"data-{port}")
            file = self._properties(port)
            file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
            self._format(file)
            bootstrap = f"127.0.0.1:{port}"
            child = self._launch(port)
            try:
                self._await_ready(child, bootstrap)
            except BaseException as error:
                child.kill()
                taken = isinstance(error, EngineFailed) and "Address already in use" in str(error)
                if taken and not last:
                    continue
                if isinstance(error, EngineFailed):
                    raise BrokerUnavailable(f"The broker did not start. {error}") from error
                raise
            return child, bootstrap
        raise AssertionError("the second attempt returns or raises")

    def _launch(self, port: int) -> Child:
        command = [*self._command(*HEAP), "kafka.Kafka", str(self._properties(port))]
        return Child("broker", command, log=self._log)

    def _properties(self, port: int) -> Path:
        return self._dir / f"server-{port}.properties"

    def _format(self, properties: Path) -> None:
        """Write the cluster's identity into the fresh data directory."""
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
        # One word, because one id in 64 begins with a dash.
        tool = ["kafka.tools.StorageTool", "format", "--standalone", f"--cluster-id={cluster}", "-c", str(properties)]
        done = subprocess.run(
            [*self._command("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"), *tool],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise EnvironmentNotReady(
                f"Kafka's storage tool failed, with {self._java.path} ({self._java.version}). It said:"
                f"\n{done.stdout}{done.stderr}\n`python -m bench doctor` looks at Java, jars and the room on the disk."
            )

    def _command(self, *flags: str) -> Sequence[str]:
        return [str(self._java.path), *flags, *_LOGGING, "-cp", ":".join(map(str, self._jars))]

    def _await_ready(self, child: Child, bootstrap: str) -> None:
        """Wait until a record was written and read back: an open port or a line in a log says less."""
        deadline = time.monotonic() + START_WITHIN.total_seconds()
        while True:
            with contextlib.suppress(BrokerUnavailable):
                Link(bootstrap).knock()
                break
            if not child.alive():
                raise child.ended()
            if time.monotonic() > deadline:
                raise Deadline(f"Waited {START_WITHIN.seconds} s for the broker at {bootstrap}.{child.log_tail()}")
            time.sleep(0.02)  # Between two knocks; the condition is the loop's.
        with KafkaLog(bootstrap) as log:
            log.create({"weir-ready": 1})
            end = log.append({("weir-ready", 0): [Message(None, b"ready")]})["weir-ready", 0]
            log.read({("weir-ready", 0): (end - 1, end)})


class ExternalBroker:
    """A cluster of the user's, found answering. It is not ours: nothing of it is stopped or deleted here."""

    pid: int | None = None
    version = "external"

    def __init__(self, bootstrap: str) -> None:
        if not is_address(bootstrap):
            raise BrokerUnavailable(f"That is no broker address: write {WANTED}.")
        self.bootstrap = bootstrap
        Link(bootstrap).meet(ANSWER_WITHIN)

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
