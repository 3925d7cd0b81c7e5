"""The threads of an embedded log: one syncs and acknowledges, one tidies up."""
