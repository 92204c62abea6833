"""`python -m musedance` is the `musedance` command."""

import sys

from musedance.cli import main

if __name__ == "__main__":
    sys.exit(main())
