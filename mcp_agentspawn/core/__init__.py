"""What a spawn is, as values and pure functions: no I/O, no clock, no logging."""
