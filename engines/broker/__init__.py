"""The embedded Kafka: one real KRaft node from the official jars, on loopback."""
