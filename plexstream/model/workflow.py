"""What a workflow keeps of its run: names that hosts and processors share."""

WORKFLOW, RESULT = "@workflow", "result"
"""Collection and key under which a workflow keeps what its run has come to."""
