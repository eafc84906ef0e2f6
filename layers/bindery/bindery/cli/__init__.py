"""Commands for operators: `bindery`."""
