"""The actors that play scripts, by kind."""
