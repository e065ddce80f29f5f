"""The outside world, one folder each: meters, ocpp, influx, simulated."""
