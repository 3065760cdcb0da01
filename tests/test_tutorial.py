"""Notebook code: a loop with plots, as users of scikit-activeml write it, by a change of import."""

import runpy
import warnings
from importlib import import_module
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import animation
from PIL import Image
from sklearn.datasets import make_moons

mpl.use("Agg")

CYCLES, BATCH = 4, 4
EXAMPLE = Path(__file__).parents[1] / "examples" / "plot_badge.py"


def notebook(library, plt):
    """Label two moons in batches, draw each pick's utilities, and return all there is to see."""
    pool, classifier = import_module(f"{library}.pool"), import_module(f"{library}.classifier")
    utils, draw = import_module(f"{library}.utils"), import_module(f"{library}.visualization")

    X, y_true = make_moons(120, noise=0.2, random_state=0)
    y = np.full(len(y_true), utils.MISSING_LABEL)
    clf = classifier.ParzenWindowClassifier(classes=[0, 1], random_state=0)
    qs = pool.Badge(random_state=0)
    bound = [X.min(axis=0).tolist(), X.max(axis=0).tolist()]
    fig, axs = plt.subplots(2, 2)
    frames, batches, laws, scores = [], [], [], []
    for cycle in range(CYCLES):
        clf.fit(X, y)
        batch, utilities = qs.query(X=X, y=y, clf=clf, batch_size=BATCH, return_utilities=True)
        scores.append(clf.score(X, y_true))
        frames.append([fig.text(0.5, 0.98, f"cycle {cycle}: {scores[-1]:.2f}")])
        for row, ax in zip(utilities, axs.flat, strict=True):
            before = set(ax.collections)
            draw.plot_contour_for_samples(
                X, row, replace_nan=None, feature_bound=bound, res=25, ax=ax
            )
            labelled = X[utils.labeled_indices(y)]
            ax.scatter(labelled[:, 0], labelled[:, 1], c="grey", s=200)
            assert draw.plot_decision_boundary(clf, bound, ax=ax) is ax
            frames[-1] += [artist for artist in ax.collections if artist not in before]
        y[batch] = y_true[batch]
        batches.append(batch)
        laws.append(utilities)
    film = animation.ArtistAnimation(fig, frames, interval=500)
    return film, frames, np.array(batches), np.array(laws), scores


@pytest.fixture
def plt():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def n_frames(film, path):
    film.save(path, writer="pillow", dpi=25)
    with Image.open(path) as image:
        return image.n_frames


def test_notebook_runs_to_its_animation(plt, tmp_path):
    film, frames, batches, laws, scores = notebook("labelnext", plt)
    assert n_frames(film, tmp_path / "film.gif") == CYCLES
    assert len(np.unique(batches)) == CYCLES * BATCH
    np.testing.assert_allclose(np.nansum(laws, axis=2), 1)
    assert (np.nanmax(laws[:, 0], axis=1) == 1).all()  # the first pick of a batch is certain
    assert scores[-1] > 0.7 > scores[0]
    # No line in the first cycle, where all classes are equally likely; the title, and in each
    # panel contours and labelled samples.
    assert len(frames[0]) == 1 + 4 * 2
    assert len(frames[-1]) == 1 + 4 * (2 + 3)


@pytest.mark.slow
def test_the_same_notebook_runs_on_scikit_activeml(plt, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        film, _, batches, laws, _ = notebook("skactiveml", plt)
        assert n_frames(film, tmp_path / "film.gif") == CYCLES
    assert batches.shape == (CYCLES, BATCH)
    assert laws.shape == (CYCLES, BATCH, 120)


def test_the_first_utilities_are_seen_as_a_spot(plt, tmp_path):
    film, frames, *_ = notebook("labelnext", plt)
    n_frames(film, tmp_path / "film.gif")
    for frame in frames:
        contours = frame[1]  # of the first panel, after the title
        assert (contours.zmin, contours.zmax) == (0, 1)
        top = [path for path in contours.get_paths() if len(path.vertices)][-1]
        extent = top.get_extents()
        assert 0 < extent.width * extent.height < 1  # of an area of about 8


@pytest.mark.slow
def test_example_runs(plt, tmp_path):
    example = runpy.run_path(str(EXAMPLE))
    assert n_frames(example["film"], tmp_path / "film.gif") == len(example["rounds"])
    accuracies = [accuracy for *_, accuracy in example["rounds"]]
    assert accuracies[-1] > 0.9 > accuracies[0]
    # What its text says of the last round.
    labels, picks, utilities, _ = example["rounds"][-1]
    clf, X = example["clf"].fit(example["X"], labels), example["X"]
    assert (np.nansum(utilities > 0, axis=1) > 1).tolist() == [False, True, True, True]
    proba = clf.predict_proba(X[picks])
    assert proba[1].max() > 0.95
    assert np.linalg.norm(X[picks[0]] - X[picks[3]]) < 0.3
    assert proba[0].argmax() != proba[3].argmax()
