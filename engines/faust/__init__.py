"""Faust (Weir runtime): Kafka-Streams-style stateful processing on Faust's worker, group and assignor."""
