"""The container's broker is the embedded one: same release, same settings, loopback only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engines import jars
from engines.broker.kraft import HEAP, SETTINGS, server_properties
from engines.jars import Section

COMPOSE = (Path(__file__).parents[2] / "compose.yml").read_text()
ENVIRONMENT = dict(re.findall(r'^ +(KAFKA_[A-Z_]+): "(.*)"$', COMPOSE, re.MULTILINE))
JVM = {"KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS"}
ADDRESSES = {
    "KAFKA_LISTENERS",
    "KAFKA_ADVERTISED_LISTENERS",
    "KAFKA_CONTROLLER_QUORUM_VOTERS",  # The image formats without --standalone, so it wants the voters by name.
    "KAFKA_LOG_DIRS",
}


def variable(property: str) -> str:
    """Name the variable as the image reads it; no property of ours has an underscore or a dash."""
    assert re.fullmatch(r"[a-z.]+", property)
    return "KAFKA_" + property.replace(".", "_").upper()


def test_the_settings_are_equal() -> None:
    settings = {name: value for name, value in ENVIRONMENT.items() if name not in JVM | ADDRESSES}
    assert settings == {variable(name): value for name, value in SETTINGS.items()}


def test_the_heap_is_equal() -> None:
    assert f"{ENVIRONMENT['KAFKA_HEAP_OPTS']} {ENVIRONMENT['KAFKA_JVM_PERFORMANCE_OPTS']}".split() == list(HEAP)


def test_the_release_is_equal() -> None:
    (broker,) = [jar for jar in jars.lock()[Section.BROKER] if jar.artifact == "kafka-server"]
    assert f"image: apache/kafka:{broker.version}\n" in COMPOSE


def test_only_loopback_leads_to_it() -> None:
    assert re.findall(r'^ +- "(.*)"$', COMPOSE, re.MULTILINE) == ["127.0.0.1:9092:9092"]
    assert ENVIRONMENT["KAFKA_ADVERTISED_LISTENERS"] == "DIRECT://127.0.0.1:9092"
    assert "healthcheck:" in COMPOSE


def test_the_embedded_broker_listens_on_loopback_only(tmp_path: Path) -> None:
    properties = server_properties(port=1, controller_port=2, data=tmp_path)
    listeners = properties["listeners"] + "," + properties["advertised.listeners"]
    assert set(re.findall(r"//(.*?):", listeners)) == {"127.0.0.1"}


@pytest.mark.parametrize("name", sorted(ADDRESSES | JVM))
def test_every_exception_is_one(name: str) -> None:
    assert name in ENVIRONMENT
