"""A figure as the bytes of a file, without a display."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(figure: Figure, kind: str = "png", *, dpi: int = 150) -> bytes:
    """Return a figure as .png, .pdf or .svg, the same for the same figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    content = io.BytesIO()
    metadata: dict[str, Any] = {"Software": None} if kind == "png" else {}
    figure.savefig(content, format=kind, dpi=dpi, metadata=metadata)
    return content.getvalue()
