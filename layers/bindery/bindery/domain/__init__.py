"""What Bindery is about: launches, repositories, environments, sessions. Pure; nothing here reads, waits or connects."""
