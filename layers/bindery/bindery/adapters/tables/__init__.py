"""The one table: SQLite here, DynamoDB on AWS."""
