"""Deterministic implementations of the ports, without the outside world, for the simulation and for tests of the ports' users."""
