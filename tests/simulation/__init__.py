"""The real use cases on a virtual clock, one seeded scheduler and ports that fail. A seed always gives the same
trace.
"""
