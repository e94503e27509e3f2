"""`python -m tallystick_till` is the program `tallystick-till`."""

import sys

from tallystick_till.cli import main

if __name__ == "__main__":
    sys.exit(main())
