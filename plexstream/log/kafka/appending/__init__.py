"""Records on their way to Kafka: alone, at a pace, or in transactions."""
