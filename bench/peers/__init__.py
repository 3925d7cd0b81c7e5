"""Other ways to do the same work. Each is told it by the environment, as `bench.counter` says."""
