"""Commands that show what the log says: state, journals, timers, trees, and why nothing goes on."""
