"""WHAT must be true of a stream processor. Pure values and pure functions: no I/O, no engine, no clock."""
