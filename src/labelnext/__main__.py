"""``python -m labelnext`` is the command ``labelnext``."""

import sys


def main() -> None:
    """Run the command; Ctrl-C while it is loaded ends it as quietly as later."""
    try:
        from labelnext.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
