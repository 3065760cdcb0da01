"""The animation: a frame for every step, with what it says lit."""

import numpy as np
import pytest
from PIL import Image

from labelnext.visualization import Scene, animate_batches
from labelnext.visualization import _animation as animation

N = 20


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    images = np.ones((N, 8, 8))
    places = rng.random((N, 2))
    scenes = [
        Scene(np.arange(2), np.arange(2, 8), rng.random(N), 0.5),
        Scene(np.arange(8), np.arange(8, 14), rng.random(N), 0.75),
    ]
    return images, places, scenes


def colored(frame, color):
    """Count the pixels of the map that are near a colour."""
    pixels = np.asarray(frame.convert("RGB"), dtype=float)[:, : animation.SIDE] / 255
    return int((np.abs(pixels - color).max(axis=2) < 0.03).sum())


def test_picks_light_up_one_after_the_other_and_are_labelled_then(world, tmp_path, monkeypatch):
    monkeypatch.setattr(animation, "STEPS", 3)
    images, places, scenes = world
    path = tmp_path / "film.gif"
    animate_batches(images, places, scenes, path, curves={"random": [0.5, 0.6]})
    film = Image.open(path)
    assert film.info["loop"] == 0
    assert film.n_frames == 2 * (animation.STEPS + 1)
    lit, labelled, durations = [], [], []
    for number in range(film.n_frames):
        film.seek(number)
        durations.append(film.info["duration"])
        lit.append(colored(film, animation.FRESH))
        labelled.append(colored(film, animation.LABELLED))
    film.close()
    assert lit[0] == lit[animation.STEPS + 1] == 0
    assert all(np.diff(lit[: animation.STEPS + 1]) > 0)
    glyph = 16 * 16
    assert labelled[animation.STEPS + 1] > labelled[0] + 4 * glyph
    assert labelled[0] > glyph
    assert durations[0] == animation.LOOK
    assert durations[1] == animation.STEP
    assert durations[-1] == animation.ADMIRE


def test_images_are_spread_and_stay_on_the_map():
    places = np.repeat(np.random.default_rng(0).random((6, 2)), 5, axis=0)
    corners = animation._corners(places, (16, 16))
    gaps = np.abs(corners[:, None] - corners[None]).max(axis=2) + 99 * np.eye(len(corners))
    assert gaps.min() >= 6
    assert corners.min() >= 8
    assert corners.max() <= animation.SIDE - 8 - 16
    far = animation._spread(np.array([[0.0, 0.0], [100.0, 0.0]]), 10)
    np.testing.assert_allclose(far, [[0, 0], [100, 0]], atol=0.5)
