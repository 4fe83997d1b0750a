"""Spark on a cluster of its own: `--spark-master spark://HOST:PORT`, or one of two workers on this machine.

`python -m engines.spark.cluster` starts a standalone master and two workers from the pinned PySpark's own classes, and
prints the master's address until it is interrupted.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from engines import java
from engines.errors import Deadline, EnvironmentNotReady
from engines.process import Child, remove_dir, scratch_dir
from engines.spark.session import environment, temporary
from semantics.errors import WeirError

MASTER = "WEIR_SPARK_MASTER"
"""The environment variable that names the master; the command lines' --spark-master sets it."""
_ADDRESS = re.compile(r"spark://([\w.-]+):(\d+)")
_WORKERS = 2
_CORES = 8
"""Of a worker, as it tells the master: a task here mostly waits, and an application without a core never starts."""
_MOST = 8
"""With a core each, and so an executor of every application: as many as scripts ask for, and some."""
_HEAP = "512m"
"""Of an executor; Spark refuses less than 450 MB."""
_FLAGS = "-Duser.timezone=UTC -XX:+UseSerialGC"
_QUICK = "-XX:TieredStopAtLevel=1"
"""Of our own cluster's executors: a script's few rows never win back what compiling costs."""
_WITHIN_S = 60
"""A JVM starts in 5 s, on a busy machine in 20."""
_STOP_WITHIN = timedelta(seconds=20)
"""A worker ends in a second, its executors in another."""
_POLL_S = 0.2
_MASTER_UP, _WORKER_UP = "New state: ALIVE", "Successfully registered with master"


def clustered() -> bool:
    """Return whether executors are elsewhere, and not in the driver's process."""
    return bool(os.environ.get(MASTER))


def on_cluster(conf: Mapping[str, str], classpath: Sequence[Path], own: str = "") -> dict[str, str]:
    """Return the settings for our `own` master or the one that is named, unchanged if there is none.

    Executors fetch the connector's jars from the driver, so that a cluster needs nothing but Spark. Two of a core each,
    on two workers if there are two, so that a query's state is on more than one machine; of our own master all that
    there are. Raises `EnvironmentNotReady`.
    """
    master = own or os.environ.get(MASTER, "")
    if not master:
        return dict(conf)
    address = _ADDRESS.fullmatch(master)
    if address is None:
        raise EnvironmentNotReady("--spark-master is spark://HOST:PORT, without a user or password.")
    here = _facing(address[1], int(address[2]))
    changed = {
        "spark.driver.host": here,
        "spark.driver.bindAddress": here,
        "spark.master": master,
        "spark.jars": ",".join(map(str, classpath)),
        "spark.executor.cores": "1",
        "spark.cores.max": str(_MOST if own else _WORKERS),
        "spark.executor.memory": _HEAP,
        "spark.executor.extraJavaOptions": f"{_FLAGS} {_QUICK} {temporary(conf['spark.local.dir'])}" if own else _FLAGS,
        # With one partition all state would be on one executor.
        "spark.sql.shuffle.partitions": str(max(_WORKERS, int(conf["spark.sql.shuffle.partitions"]))),
    }
    return {**conf, **changed}


class LocalCluster:
    """A standalone master on this machine, and as many workers as one asks for. Raises `EngineFailed`, `Deadline`."""

    def __init__(self, logs: Path, *, cores: int) -> None:
        """Start the master. `cores`: of each worker, as it tells the master."""
        spec = importlib.util.find_spec("pyspark")
        if spec is None or spec.origin is None:
            raise EnvironmentNotReady("pyspark is not installed: `make setup`, or pip install 'weir[spark]'.")
        self._home, self._logs, self._cores = Path(spec.origin).parent, logs, cores
        self._scratch, port = scratch_dir("cluster"), _free_port()
        self.address = f"spark://127.0.0.1:{port}"
        self._started = 0
        self.workers: list[Child] = []
        """The oldest first, each in one group with its executors."""
        self._master = self._child("spark-master", "master.Master", "--port", str(port))
        try:
            _await(self._master, _MASTER_UP)
        except BaseException:
            self.close()
            raise

    def scale(self, workers: int) -> None:
        """Have so many workers. The oldest leave, for they hold the most state; their executors end first."""
        while len(self.workers) > workers:
            self.workers.pop(0).stop(within=_STOP_WITHIN)
        new = [self._worker() for _ in range(workers - len(self.workers))]
        for worker in new:
            _await(worker, _WORKER_UP)

    def close(self) -> None:
        """Kill all."""
        for running in (*self.workers, self._master):
            running.kill()
        remove_dir(self._scratch)

    def _worker(self) -> Child:
        name = f"worker-{self._started}"
        self._started += 1
        own = ("--cores", str(self._cores), "--memory", "8g", "--work-dir", str(self._logs / name), self.address)
        worker = self._child(f"spark-{name}", "worker.Worker", *own)
        self.workers.append(worker)
        return worker

    def _child(self, role: str, kind: str, *arguments: str) -> Child:
        own = {
            "SPARK_HOME": str(self._home),
            "SPARK_LOCAL_DIRS": str(self._scratch),
            "SPARK_DAEMON_MEMORY": "256m",
            # It would take a port that is not ours to take.
            "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
        }
        argv = [str(self._home / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}"]
        argv += ["--host", "127.0.0.1", "--webui-port", "0", *arguments]
        return Child(role, argv, log=self._logs / f"{role}.log", env=environment(java.find()) | own)


@contextlib.contextmanager
def local_cluster(logs: Path) -> Iterator[str]:
    """Run a master and two workers on this machine; yield the master's address. Raises `EngineFailed`, `Deadline`."""
    cluster = LocalCluster(logs, cores=_CORES)
    try:
        cluster.scale(_WORKERS)
        yield cluster.address
    finally:
        cluster.close()


def _facing(host: str, port: int) -> str:
    """Return the address of this machine that the other one sees. Sends nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.connect((host, port))
            return str(one.getsockname()[0])
    except OSError as error:
        raise EnvironmentNotReady(f"--spark-master: {host} cannot be reached from here: {error}.") from error


def _await(child: Child, line: str) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while line not in child.log.read_text(errors="replace"):
        if not child.alive():
            raise child.ended()
        if time.monotonic() > deadline:
            raise Deadline(f"Waited {_WITHIN_S} s for {child.role} to say {line!r}.{child.log_tail()}")
        time.sleep(_POLL_S)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def main() -> int:
    """Run a local cluster until interrupted; return the exit code."""
    # Whoever starts us in the background may have us ignore an interrupt; both signals mean the same here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    logs = scratch_dir("cluster-logs")
    try:
        with contextlib.suppress(KeyboardInterrupt), local_cluster(logs) as address:
            print(address, flush=True)
            while True:
                signal.pause()
    except WeirError as error:
        print(f"error: {error}", file=sys.stderr)
        return 4
    finally:
        remove_dir(logs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
