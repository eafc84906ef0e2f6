"""Ports: the interfaces that adapters implement. The docstring of each Protocol is its contract; tests/contract tests its sentences."""
