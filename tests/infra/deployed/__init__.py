"""The deployed system without an account: its functions on moto, and what each of them may do and does."""
