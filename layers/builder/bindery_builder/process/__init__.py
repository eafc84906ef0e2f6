"""Child processes: started with limits and ended together with all their descendants."""
