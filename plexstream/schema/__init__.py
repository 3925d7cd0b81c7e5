"""Avro encoding of the model: single-object encoding, schemas in ``avsc/``."""
