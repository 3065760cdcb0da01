"""Batches being chosen, as an animation over a map of small images."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.disk import write_whole, writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    Image = NDArray[np.float64]
    Rows = NDArray[np.int64]

NIGHT = np.array([15, 23, 42]) / 255
SURE = np.array([66, 82, 118]) / 255
UNSURE = np.array([245, 158, 11]) / 255
LABELLED = np.array([94, 234, 212]) / 255
FRESH = np.array([255, 255, 255]) / 255
TEXT, MUTED = "#e2e8f0", "#94a3b8"
SIDE, WIDTH = 580, 980  # pixels of the map, and of the whole
STEPS = 6  # frames in which a batch appears
LOOK, STEP, ADMIRE = 900, 220, 3000  # milliseconds: a new model, a part of its batch, the end


@dataclass(frozen=True)
class Scene:
    """One round of the cycle, as the animation needs it.

    Parameters
    ----------
    labelled, picks : ndarray of int64
        The rows that are labelled when the batch is chosen, and the batch, in order.
    uncertainty : ndarray of shape (n_rows,), float64
        What is to glow: the norms of the gradients, say.
    accuracy : float
        The model's accuracy before the batch.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.visualization import Scene
    >>> Scene(np.array([0]), np.array([2, 1]), np.array([0.0, 0.2, 0.9]), accuracy=0.5).picks
    array([2, 1])
    """

    labelled: NDArray[np.int64]
    picks: NDArray[np.int64]
    uncertainty: NDArray[np.float64]
    accuracy: float


def animate_batches(
    images: ArrayLike,
    places: ArrayLike,
    scenes: Sequence[Scene],
    path: str | Path | IO[bytes],
    *,
    curves: Mapping[str, ArrayLike] | None = None,
    title: str = "BADGE",
) -> None:
    """Write a GIF in which batch after batch is chosen from a map of images.

    Each sample is its own image, at its place. What the model is unsure about glows; the picks
    light up in their order and are labelled from then on; beside it the accuracy rises.

    Parameters
    ----------
    images, places : array-like of shape (n_rows, height, width) and (n_rows, 2)
        Small images, 0 for the background to 1 for ink, and where each lies.
    scenes : sequence of Scene
        The rounds, in order.
    path : str, Path or file object
        The file to write, which appears whole or not at all; or an open one, of bytes.
    curves : dict of str to array-like of shape (n_scenes,), default=None
        Accuracies of other strategies, to be drawn beside that of the scenes.
    title : str, default="BADGE"
        What to write above.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from labelnext.visualization import Scene, animate_batches
    >>> rng = np.random.default_rng(0)
    >>> scenes = [Scene(np.array([0]), np.array([1, 2]), rng.random(9), accuracy=0.5)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "cycle.gif")
    ...     animate_batches(rng.random((9, 8, 8)), rng.random((9, 2)), scenes, path)
    ...     path.read_bytes()[:3]
    b'GIF'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 100, SIDE / 100), dpi=100, facecolor=tuple(NIGHT))
    canvas = FigureCanvasAgg(figure)
    stage = _Stage(figure, images, places, scenes, curves or {}, title)
    frames, durations = [], []
    for number, scene in enumerate(scenes):
        stage.start(number)
        for step in range(STEPS + 1):
            stage.show(scene, step)
            canvas.draw()  # type: ignore[no-untyped-call]
            pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
            frames.append(pixels[:, :, :3].copy())
            durations.append(LOOK if step == 0 else STEP)
        durations[-1] = LOOK
    durations[-1] = ADMIRE
    _write_gif(frames, durations, path)


def _write_gif(
    frames: list[NDArray[np.uint8]], durations: list[int], path: str | Path | IO[bytes]
) -> None:
    """Write frames with one palette for all, so that what does not change costs nothing."""
    from PIL import Image as Pillow

    sample = Pillow.fromarray(np.vstack([frames[0], frames[len(frames) // 2], frames[-1]]))
    palette = sample.quantize(255)
    pictures = [
        Pillow.fromarray(frame).quantize(palette=palette, dither=Pillow.Dither.NONE)
        for frame in frames
    ]
    content = io.BytesIO()
    every: dict[str, Any] = {"save_all": True, "append_images": pictures[1:], "loop": 0}
    pictures[0].save(content, format="GIF", duration=durations, optimize=False, **every)
    if isinstance(path, str | Path):
        with writing(str(path), "make room, or choose another place."):
            write_whole(Path(path), content.getvalue(), overwrite=True)
    else:
        path.write(content.getvalue())


class _Stage:
    """The figure, of which only what changes is drawn anew."""

    def __init__(
        self,
        figure: Figure,
        images: ArrayLike,
        places: ArrayLike,
        scenes: Sequence[Scene],
        curves: Mapping[str, ArrayLike],
        title: str,
    ) -> None:
        self.glyphs = np.clip(np.asarray(images, dtype=np.float64), 0, 1).repeat(2, 1).repeat(2, 2)
        self.corners = _corners(np.asarray(places, dtype=np.float64), self.glyphs.shape[1:])
        self.scale = max(float(np.quantile(scenes[0].uncertainty, 0.98)), 1e-12)
        self.labels = np.array([len(scene.labelled) for scene in scenes])
        self.accuracy = np.array([scene.accuracy for scene in scenes])
        # One pixel of the map is one of the figure: nothing has to be resampled.
        field = figure.add_axes((0, 0, SIDE / WIDTH, 1))
        field.set_axis_off()
        self.map = field.imshow(
            np.zeros((SIDE, SIDE, 3)), interpolation="nearest", aspect="auto", vmin=0, vmax=1
        )
        words = figure.add_axes((0.62, 0.7, 0.36, 0.28))
        words.set_axis_off()
        words.text(0, 0.72, title, color=TEXT, size=17, weight="bold")
        self.headline = words.text(0, 0.42, "", color=TEXT, size=11.5)
        legend = {"unsure": UNSURE, "sure": SURE * 1.3, "chosen": FRESH, "labelled": LABELLED}
        for place, (meaning, color) in enumerate(legend.items()):
            words.text(0.27 * place, 0.1, f"● {meaning}", color=tuple(color), size=10)
        self._draw_axes(figure.add_axes((0.66, 0.13, 0.31, 0.5)), curves)

    def _draw_axes(self, axes: Axes, curves: Mapping[str, ArrayLike]) -> None:
        from matplotlib.ticker import PercentFormatter

        axes.set_facecolor(tuple(NIGHT))
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(MUTED)
        axes.tick_params(colors=MUTED, labelsize=9)
        axes.set_xlabel("labels", color=MUTED, size=9)
        axes.set_title("accuracy on the test set", color=MUTED, size=9, loc="left")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        self.others = {
            name: (np.asarray(values), axes.plot([], [], color=MUTED, lw=1.6, label=name)[0])
            for name, values in curves.items()
        }
        (self.line,) = axes.plot([], [], color=tuple(LABELLED), lw=2.4, marker="o", ms=4)
        self.name = axes.annotate("", (0, 0), (0, 7), textcoords="offset points", ha="right",
                                  color=tuple(LABELLED), size=10, weight="bold")  # fmt: skip
        if curves:
            axes.legend(loc="lower right", frameon=False, labelcolor=MUTED, fontsize=9)
        lowest = min([self.accuracy.min(), *(np.min(values) for values in curves.values())])
        span = max(self.labels[-1] - self.labels[0], 1)
        axes.set_xlim(self.labels[0] - 0.04 * span, self.labels[-1] + 0.04 * span)
        axes.set_ylim(lowest - 0.03, 1.03)

    def start(self, number: int) -> None:
        """Show the model that the labels so far have made."""
        shown = slice(0, number + 1)
        self.line.set_data(self.labels[shown], self.accuracy[shown])
        for values, line in self.others.values():
            line.set_data(self.labels[shown], values[shown])
        self.name.xy = (self.labels[number], self.accuracy[number])
        self.name.set_text(f"{100 * self.accuracy[number]:.1f} %")

    def show(self, scene: Scene, step: int) -> None:
        """Draw the map with the first part of a batch lit."""
        count = len(scene.picks) * step // STEPS
        chosen = scene.picks[:count]
        action = f"choosing {len(scene.picks)} more" if step else "the model is asked"
        self.headline.set_text(f"{len(scene.labelled)} labelled · {action}")
        glow = np.clip(scene.uncertainty / self.scale, 0, 1)[:, None]
        colors = SURE + (UNSURE - SURE) * glow**0.7
        colors[scene.labelled], colors[chosen] = LABELLED, FRESH
        late = len(scene.picks) // STEPS + 1
        self.map.set_data(self._paint(colors, scene, chosen, chosen[-late:] if step else chosen))

    def _paint(self, colors: Image, scene: Scene, chosen: Rows, newest: Rows) -> Image:
        canvas = np.tile(NIGHT, (SIDE, SIDE, 1))
        height, width = self.glyphs.shape[1:]
        rest = np.ones(len(colors), dtype=bool)
        rest[scene.labelled] = rest[chosen] = False
        # What matters lies on top, in a frame that sets it off from its neighbours.
        order = np.concatenate([np.flatnonzero(rest), scene.labelled, chosen])
        framed, fresh = set(chosen.tolist()), set(newest.tolist())
        for row in order.tolist():
            top, left = self.corners[row]
            if row in framed:
                edge = 4 if row in fresh else 3
                canvas[top - edge : top + height + edge, left - edge : left + width + edge] = (
                    UNSURE if row in fresh else FRESH
                )
                canvas[top - 1 : top + height + 1, left - 1 : left + width + 1] = NIGHT
            patch = canvas[top : top + height, left : left + width]
            ink = self.glyphs[row][:, :, None]
            patch += ink * (colors[row] - patch)
        return canvas


def _corners(places: Image, size: tuple[int, ...]) -> NDArray[np.int64]:
    """Turn places into the top left corners of images on the map, with a margin around."""
    height, width = size
    room = SIDE - 16 - np.array([width, height])
    spread = _spread(_fit(places, room), 0.8 * width)
    spread[:, 1] *= -1  # images count from the top
    return (8 + _fit(spread, room)).astype(np.int64)[:, ::-1]


def _fit(points: Image, room: Image) -> Image:
    low, high = points.min(axis=0), points.max(axis=0)
    fitted: Image = (points - low) / np.maximum(high - low, 1e-12) * room
    return fitted


def _spread(points: Image, distance: float, rounds: int = 40) -> Image:
    """Push points apart that lie closer than a distance, so that none hides another."""
    # Points that coincide need a direction to part in.
    points = points + 0.1 * np.random.default_rng(0).normal(size=points.shape)
    for _ in range(rounds):
        away = points[:, None] - points[None]
        gaps = np.sqrt((away**2).sum(axis=2))
        np.fill_diagonal(gaps, np.inf)
        push = np.clip(distance - gaps, 0, None) / gaps
        if not push.any():
            break
        points = points + 0.4 * (push[:, :, None] * away).sum(axis=1)
    return points
