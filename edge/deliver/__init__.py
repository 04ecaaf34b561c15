"""The deliver room: see README.md."""
