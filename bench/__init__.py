"""The benchmarks: `bench/run`. Nothing in the package `plexstream` knows of them."""
