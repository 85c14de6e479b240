"""`python -m selector` is the command `selector`."""

import sys

from selector.cli import main

if __name__ == "__main__":
    sys.exit(main())
