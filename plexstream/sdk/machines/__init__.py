"""Finite state machines: how they are declared, how they run, and their timers."""
