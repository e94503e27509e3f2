"""Django's command line for the demo shop."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run a command with the demo's settings, in a checkout as well as where the packages are installed."""
    webshop = Path(__file__).resolve().parents[1]
    sys.path[1:1] = [str(webshop / "oscar"), str(webshop)]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_shop.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
