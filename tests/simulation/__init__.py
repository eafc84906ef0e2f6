"""The real use cases on a virtual clock, one seeded scheduler and ports that fail: the same seed gives the same trace."""
