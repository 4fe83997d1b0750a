"""The oracle behind the engine contract, with switchable planted bugs."""
