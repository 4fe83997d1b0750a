"""What an event costs: CPU of a whole worker at full rate, exactly once, beside its peers in the same run."""
