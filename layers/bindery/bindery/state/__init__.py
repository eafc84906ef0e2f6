"""Records of the system in the table: one module for each kind of record, all on top of the table port."""
