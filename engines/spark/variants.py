"""The variants of this engine: how results are written, and whether settings are Spark's own. Imports no library."""

from __future__ import annotations

from enum import Enum
from pathlib import Path


class SinkKind(Enum):
    """Where and how results are written."""

    NATIVE = "native"
    """Spark's Kafka sink: at least once."""
    TRANSACTIONAL = "txn-sink"
    """One Kafka transaction a batch, with a token of that batch in it: exactly once for a read_committed reader."""
    FOLKLORE = "folklore"
    """One Kafka transaction a batch under a transactional.id of that batch, and no token: repeats."""
    UPSERT = "upsert"
    """Rows by key and the batch's marker in one SQLite transaction: exactly once in the table. It writes no topic, so
    it is no variant, and the catalogue cannot play it: `engines/spark/kills.py` does."""

    @property
    def ours(self) -> bool:
        """Return whether it is a recipe of ours behind `foreachBatch`."""
        return self is not SinkKind.NATIVE


class Trigger(Enum):
    """When batches are run."""

    AT_ONCE = ""
    """One after the other, as long as the query lives: Spark's own."""
    AVAILABLE_NOW = "available-now"
    """A run takes the input that is there, and what follows from it, and ends."""
    ONCE = "once"
    """A run is one batch, and what follows from it waits for the next run that has input. Spark warns that it is
    deprecated."""

    @property
    def bounded(self) -> bool:
        """Return whether a run ends by itself."""
        return self is not Trigger.AT_ONCE


SHIPPED = "shipped"
STRICT = "dead-letters"
VARIANTS = {
    "": "RocksDB state store with changelog checkpoints, no waiting fetches, plain file checkpoints",
    SinkKind.TRANSACTIONAL.value: "foreachBatch: a Kafka transaction a batch, with the batch's token in it",
    SinkKind.FOLKLORE.value: "foreachBatch: a Kafka transaction a batch, under an id of that batch, without a token",
    STRICT: "records that cannot be used go to a topic of their own, by a second branch of the query",
    Trigger.AVAILABLE_NOW.value: "every step a run of its own, from the checkpoint, that ends when no input is left",
    Trigger.ONCE.value: "every step a run of its own, from the checkpoint, of one batch",
    SHIPPED: "Spark's own settings, but for four shuffle partitions",
}


def sink_kind(variant: str) -> SinkKind:
    """Return how a variant writes."""
    return SinkKind(variant) if variant in {kind.value for kind in SinkKind} else SinkKind.NATIVE


def trigger(variant: str) -> Trigger:
    """Return when a variant runs batches."""
    return Trigger(variant) if variant in {kind.value for kind in Trigger} else Trigger.AT_ONCE


def table_of(checkpoint: Path) -> Path:
    """Return the SQLite file of a query that upserts."""
    return checkpoint.with_suffix(".sqlite")
