"""What the system keeps in the one table: each kind of record, written once above the table port."""
