"""How long and how many: limits of handlers that wait, in milliseconds where they are times."""

RUN_ANNOUNCED = 1_000
"""After so long an effect that still runs gets a record, so that others see what is waited for."""
REVIVED_AT_ONCE = 500
"""Handlers that run again in one go, before messages get their turn."""
KEPT_TASKS = 20_000
"""Waiting handlers of a partition in memory; others run again from their start when they go on."""
PROBE_AFTER = 1_000
"""After so long asks that wait for a waiting handler look for a circle, again and again."""
PARK_AFTER = 5_000
"""After so long a message that waits for a waiting handler or its next try is copied into the journal."""
SAME_CALLS = 1_000
"""So many repetitions of a call (by its key) wait for its outcome, each copied into the journal."""
SAME_BYTES = 16 << 20
"""And so many bytes of them."""
STUCK_RETRY = 10_000
"""After so long a handler whose code does not fit, or whose actor cannot be loaded, is tried again."""
