"""How launches look over HTTP: event stream, pages, the faces of errors."""
