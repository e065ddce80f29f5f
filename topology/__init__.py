"""The electrical installation: what exists and what it may carry. No Kafka, no clock."""
