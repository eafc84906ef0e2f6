"""Repository hosts, one per file, and the guarded client that all of them use."""
