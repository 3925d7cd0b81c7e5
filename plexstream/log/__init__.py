"""The log: what every part of plexstream stands on. See `plexstream.log.base` for the promises."""
