"""Avro encoding of the model. The schemas stand in ``avsc/``; records are in Avro's single-object encoding."""
