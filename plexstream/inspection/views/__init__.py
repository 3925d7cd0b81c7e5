"""What the log says now: state, timers, handlers that wait, trees, and what keeps an actor."""
