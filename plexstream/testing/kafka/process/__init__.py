"""A broker as a process of this machine: its Java, its jars, its ports, its start and its end."""
