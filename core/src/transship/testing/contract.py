"""``TransportContract`` by its older name; new code takes it from ``transship.testing``."""

from transship.testing.contracts.transport import TransportContract

__all__ = ["TransportContract"]
