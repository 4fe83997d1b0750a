"""The start-up check: this engine reaches into private parts of four libraries, each pinned to one version."""

from __future__ import annotations

from importlib import import_module, metadata
from importlib.util import find_spec

from engines.errors import EnvironmentNotReady

PINNED = {
    "faust-streaming": "0.15.3",
    "mode-streaming": "0.7.1",
    "aiokafka": "0.14.0",
    "rocksdict": "0.3.29",
}
REMEDY = "`make setup` installs what the lock says"
_SHAPES = (
    ("aiokafka.admin", "AIOKafkaAdminClient._send_request"),
    ("aiokafka.client", "AIOKafkaClient._get_conn"),
    ("aiokafka.client", "AIOKafkaClient._wait_on_metadata"),
    ("aiokafka.client", "AIOKafkaClient.bootstrap"),
    ("aiokafka.client", "AIOKafkaClient.coordinator_lookup"),
    ("aiokafka.client", "ConnectionGroup"),
    ("aiokafka.consumer.fetcher", "PartitionRecords._consumer_record"),
    ("aiokafka.consumer.fetcher", "FetchResult.getall"),
    ("aiokafka.consumer.fetcher", "Fetcher._proc_fetch_request"),
    ("aiokafka.consumer.consumer", "Fetcher"),
    ("aiokafka.consumer.group_coordinator", "GroupCoordinator._coordination_routine"),
    ("aiokafka.consumer.group_coordinator", "GroupCoordinator._perform_assignment"),
    ("aiokafka.consumer.group_coordinator", "GroupCoordinator._push_error_to_user"),
    ("aiokafka.consumer.group_coordinator", "GroupCoordinator.request_rejoin"),
    ("aiokafka.producer.message_accumulator", "BatchBuilder.close"),
    ("aiokafka.producer.message_accumulator", "MessageBatch.expired"),
    ("aiokafka.producer.sender", "BACKOFF_OVERRIDE"),
    ("aiokafka.producer.sender", "Sender.sender_task"),
    ("aiokafka.producer.producer", "AIOKafkaProducer.send_offsets_to_transaction"),
    ("aiokafka.protocol.commit", "OffsetFetchRequest"),
    ("faust.transport.drivers.aiokafka", "AIOKafkaConsumerThread._create_worker_consumer"),
    ("faust.transport.consumer", "Consumer._wait_next_records"),
    ("faust.transport.consumer", "Consumer._drain_messages"),
    ("faust.tables.manager", "TableManager._update_channels"),
    ("faust.tables.recovery", "Recovery._wait"),
    ("mode.worker", "Worker._sentinel_task"),
)


def missing() -> str:
    """Return which library is absent or of another version, with the remedy; empty if none. Imports none of them."""
    for name, wanted in PINNED.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            return f"{name} {wanted} is not installed; {REMEDY}."
        if found != wanted:
            return f"{name} is {found}, but private parts of {wanted} are used; {REMEDY}."
    for module in ("msgspec", "cramjam"):
        if find_spec(module) is None:
            return f"{module} is not installed; {REMEDY}."
    return ""


def check_shapes() -> None:
    """Raise `EnvironmentNotReady` if a private part that we use is not there, though the version is right."""
    if reason := missing():
        raise EnvironmentNotReady(reason)
    for module, path in _SHAPES:
        part: object = import_module(module)
        for name in path.split("."):
            if not hasattr(part, name):
                raise EnvironmentNotReady(f"{module} has no {path}: it was changed by hand; {REMEDY}.")
            part = getattr(part, name)
