"""Operators that Spark does not have, as a Spark user writes them: stateful processors for `transformWithState`."""
