"""Domain model: launches, repositories, environments, sessions. Pure code without I/O and without waiting."""
