"""The infer room: see README.md."""
