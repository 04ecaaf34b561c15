"""`python -m edge`."""

import sys

try:
    from edge.cli import main

    code = main()
except KeyboardInterrupt:  # while the command was still being imported
    code = 130
sys.exit(code)
