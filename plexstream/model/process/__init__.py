"""What is of a process and not of its data: its threads, and whether compiled code is used."""
