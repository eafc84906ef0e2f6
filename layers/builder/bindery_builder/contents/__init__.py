"""Repository contents: fetched and laid out as working copies."""
