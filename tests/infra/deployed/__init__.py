"""The deployed system without an account: its functions on moto, with their rights and their calls."""
