"""Messages that the processor answers itself: by keys, by ids, and to handlers that wait."""
