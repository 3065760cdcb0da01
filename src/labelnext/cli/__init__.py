"""The command ``labelnext``."""

from labelnext.cli._app import app, main

__all__ = ["app", "main"]
