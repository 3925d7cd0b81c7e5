"""Records from Kafka, and whether silence means that there are none."""
