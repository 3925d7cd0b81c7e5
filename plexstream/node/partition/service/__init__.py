"""One partition from takeover to its end, and what is read and written meanwhile."""
