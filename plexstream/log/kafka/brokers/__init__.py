"""Questions to brokers: who leads, which topics there are, how large a record may be."""
