"""Messages to the system over HTTP: control, invocations, coordination."""
