"""The topics of an installation: their names, and how each is declared to be kept."""
