"""What an operator looks at: see README.md."""
