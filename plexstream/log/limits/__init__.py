"""How big a record may be, the same on every log."""
