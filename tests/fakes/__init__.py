"""Ports without the world: deterministic, for the simulation and for tests of what uses them."""
