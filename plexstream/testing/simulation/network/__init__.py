"""The log behind a network: what is sent arrives late, or never, and questions meet errors."""
