"""What Bindery needs of the world. The docstring of each Protocol is its contract, and tests/contract tests its sentences."""
