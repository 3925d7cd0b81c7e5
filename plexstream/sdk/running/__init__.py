"""The turn that runs: which it is, and the values, collections and wrappers that its handler meets."""
