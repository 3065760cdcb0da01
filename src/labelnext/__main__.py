"""``python -m labelnext`` is the command ``labelnext``."""

from labelnext.cli import main

if __name__ == "__main__":
    main()
