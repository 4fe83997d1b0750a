"""Spark Structured Streaming, as PySpark ships it."""
