"""Handlers that wait: `machine` is the specification of their lifecycle, `Invocations` all parts together."""
