"""What a workflow keeps of its run, and actors of their promises: names that hosts and processors share."""

WORKFLOW, RESULT = "@workflow", "result"
"""Collection and key under which a workflow keeps what its run has come to."""
PROMISES = "@promise"
"""Collection in which any actor keeps its promises."""
