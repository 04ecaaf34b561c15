"""Model packages: what a vendor states, what the box enforces. See README.md."""
