"""What only Kafka has and the log's interface does not."""
