"""Options and the one broker that all integration tests share; it is started when the first one asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from engines import registry
from engines.broker.address import WANTED, is_address
from engines.spark.cluster import MASTER
from semantics.errors import WeirError

ALL = "all"
"""Every engine and variant but planted bugs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("weir", "Weir: measure a stream engine before you choose it")
    group.addoption(
        "--engine",
        action="append",
        metavar="ENGINE[:VARIANT]",
        help="engine to play the catalogue on; repeatable; `all`: every one that can run here, with its variants; "
        "default: every one that can run here",
    )
    group.addoption(
        "--broker",
        metavar="HOST:PORT",
        help="use this Kafka, and touch nothing on it that this run did not create; default: an embedded one",
    )
    group.addoption(
        "--spark-master",
        metavar="spark://HOST:PORT",
        help="run Spark on this standalone cluster; default: in one process",
    )
    group.addoption(
        "--fail-on",
        action="append",
        choices=["deviates", "refuses", "not-run"],
        default=[],
        help="fail on this verdict as well; broken, stale and unknown always fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the engines, and refuse one that is asked for and cannot run, and a broker's address that is none."""
    broker = config.getoption("--broker")
    if broker is not None and not is_address(broker):
        raise pytest.UsageError(f"--broker is {WANTED}.")
    if config.getoption("--spark-master"):
        os.environ[MASTER] = config.getoption("--spark-master")
    if config.option.engine is None:
        config.option.engine = list(registry.installed())
    elif config.option.engine == [ALL]:
        from bench import compare  # Unit tests need no part of it.

        config.option.engine = list(compare.everything().played)
    try:
        for name in config.option.engine:
            registry.require(name)
    except WeirError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return HOST:PORT of a real broker: the user's own, or an embedded one."""
    from engines.broker.kraft import open_broker  # Unit tests need no broker, nor what it is made of.

    with open_broker(request.config.getoption("--broker"), logs=tmp_path_factory.mktemp("broker")) as running:
        yield running.bootstrap
