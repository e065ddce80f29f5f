"""What the tests of meters share."""

from tests.parts.mosquitto import mosquitto

__all__ = ["mosquitto"]
