"""What invocations leave in the state: the steps of handlers that wait, and what calls with a key came to."""
