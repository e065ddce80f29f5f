"""Simulated devices that speak the real protocols: they know nothing of the inside of the connectors they talk to."""
