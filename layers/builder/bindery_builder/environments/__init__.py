"""Plans and installs environments from a repository's files."""
