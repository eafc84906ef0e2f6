"""HTTP view of launches: event stream, pages, JSON API, error responses."""
