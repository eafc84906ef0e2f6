"""GitHub: repositories, gists, and the tokens of a GitHub App."""
