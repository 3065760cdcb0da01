"""The file of a sample, found by its key and never by a path that somebody sends."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a browser shows; its type follows from the end of the name alone.
TYPES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), "image/jpeg"),
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    **dict.fromkeys((".ogg", ".oga", ".opus"), "audio/ogg"),
    ".flac": "audio/flac",
    **dict.fromkeys((".m4a", ".aac"), "audio/mp4"),
    ".webm": "audio/webm",
    **dict.fromkeys((".html", ".htm"), "text/html; charset=utf-8"),
}
# What may hold scripts gets an origin of its own, and runs and loads nothing.
SANDBOX = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "media-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


class MediaError(ValueError):
    """A file that cannot be shown, and why."""


def locate(content: str, roots: Sequence[Path]) -> Path:
    """Return the file that a sample names, resolved, inside one of the declared folders."""
    name = Path(content).name
    if "\0" in content:
        raise MediaError("Its name holds a null byte.")
    for root in roots:
        try:
            found = (root / content).resolve(strict=True)
        except (OSError, RuntimeError):
            continue
        if not found.is_relative_to(root.resolve()):
            raise MediaError(f"{name} lies outside the folder that the loop was made of.")
        if not found.is_file():
            raise MediaError(f"{name} is no file.")
        return found
    raise MediaError(f"{name} is not there.")


def answer(kind: str, content: str, roots: Sequence[Path]) -> Response:
    """Return what a browser gets of a sample: a file, or its HTML, neither able to run a script."""
    headers = {"Cache-Control": "private, max-age=600", "X-Frame-Options": "SAMEORIGIN"}
    sandboxed = headers | {"Content-Security-Policy": SANDBOX}
    if kind == "html":
        return Response(content, media_type="text/html", headers=sandboxed)
    path = locate(content, roots)
    kind_of_file = TYPES.get(path.suffix.lower())
    if kind_of_file is None:
        if path.suffix.lower() in (".tif", ".tiff"):
            return Response(_as_png(path), media_type="image/png", headers=headers)
        guess = mimetypes.guess_type(path.name)[0] or "its type"
        raise MediaError(f"{path.name}: no browser shows {guess}.")
    return FileResponse(path, media_type=kind_of_file, headers=sandboxed)


def _as_png(path: Path) -> bytes:
    import io

    from PIL import Image

    into = io.BytesIO()
    try:
        with Image.open(path) as image:
            image.convert("RGBA" if "A" in image.getbands() else "RGB").save(into, "png")
    except Exception as error:  # a damaged file makes Pillow raise anything
        raise MediaError(f"{path.name} cannot be read: {error}") from error
    return into.getvalue()
