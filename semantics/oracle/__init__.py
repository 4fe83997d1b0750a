"""What an engine with given rules may show of a script: `predict`. Written from the contract, not from an engine.

`clocks` moves time, `simple`, `window`, `session`, `dedup` and `join` are the operators, `machine` executes them,
`possibilities` goes through all orders and cuts that a script leaves open, `remembered` spares what was done before.
"""

from semantics.oracle.machine import PARTS, Machine, Parts, Task
from semantics.oracle.possibilities import Prediction, StepResult
from semantics.oracle.remembered import consulted, predict

__all__ = ["PARTS", "Machine", "Parts", "Prediction", "StepResult", "Task", "consulted", "predict"]
