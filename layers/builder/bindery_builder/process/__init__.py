"""Child processes: started with limits, ended with all their descendants."""
