"""The receive room: see README.md."""
