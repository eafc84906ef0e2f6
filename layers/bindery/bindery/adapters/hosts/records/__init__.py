"""Hosts of published records, such as Zenodo, one per file."""
