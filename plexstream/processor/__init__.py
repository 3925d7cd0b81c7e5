"""The state machine that owns one partition."""
