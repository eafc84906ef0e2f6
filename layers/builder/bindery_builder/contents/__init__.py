"""Contents of repositories, fetched and laid out as working copies."""
