"""Judges of histories that have no outcome per step (bench, faults, soak): pure functions, history to judgement."""
