"""What the process that workers are forked from loads, once. It must outlive a SIGTERM to the whole group."""

import signal

import plexstream.node.running.processes.process  # noqa: F401

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
