"""How they go on: who waits where, what is to be done next, how each begins, goes on and ends."""
