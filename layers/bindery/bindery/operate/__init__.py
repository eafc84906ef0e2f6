"""Commands for operators: `python -m bindery`."""
