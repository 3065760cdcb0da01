"""What all figures share: colours, axes, words on them, and their bytes without a display."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

# Okabe and Ito's colours, which colour-blind people can tell apart; the first is the hero's.
COLORS = ("#0072B2", "#E69F00", "#6b7280", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
STYLES = ("-", "--", ":")  # for more strategies than colours
INK, GRID = "#1f2937", "#e5e7eb"
DOTTED: dict[str, Any] = {"color": INK, "lw": 0.8, "ls": (0, (2, 3)), "zorder": 1}
BESIDE: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}


def check_axes(ax: Any, name: str = "ax") -> Axes:
    """Return the axes given, or the current ones."""
    from matplotlib.axes import Axes

    if ax is None:
        import matplotlib.pyplot as plt

        return plt.gca()
    if not isinstance(ax, Axes):
        raise TypeError(
            f"{name} must be one matplotlib Axes or None for the current one, got "
            f"{type(ax).__name__}; call the function once for each of several."
        )
    return ax


def line_look(place: int, label: str) -> dict[str, Any]:
    """Return how the line of a strategy looks, by its place: the first is the one to look at."""
    return {
        "color": COLORS[place % len(COLORS)],
        "ls": STYLES[place // len(COLORS) % len(STYLES)],
        "lw": 2.6 if place == 0 else 1.8,
        "zorder": 10 - 0.1 * place if place else 10.5,
        "label": plain(label),
    }


def plain(text: str) -> str:
    """Escape a name, which matplotlib would else read as mathematics."""
    return text.replace("$", r"\$")


def percent(value: float, _: object = None) -> str:
    """Write a share as a tick."""
    return f"{100 * value:g} %"


def tidy(axes: Axes, grid: Literal["both", "x", "y"] = "y") -> None:
    """Draw a faint grid behind everything, and no frame above and at the right."""
    axes.grid(axis=grid, color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def note(axes: Axes, text: str, at: Any, offset: Any, **look: Any) -> Annotation:
    """Write beside a point, some points away, with a white edge that parts words from lines."""
    from matplotlib.patheffects import withStroke

    edge = [withStroke(linewidth=2.2, foreground="white")]
    look |= {"textcoords": "offset points", "path_effects": edge, "fontsize": 9, "color": INK}
    return axes.annotate(text, xy=at, xytext=offset, **look)


def picture(figure: Figure, kind: str = "png", *, dpi: int = 150) -> bytes:
    """Return a figure as .png, .pdf or .svg, the same for the same figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    content = io.BytesIO()
    metadata: dict[str, Any] = {"Software": None} if kind == "png" else {}
    figure.savefig(content, format=kind, dpi=dpi, metadata=metadata)
    return content.getvalue()
