"""Axes of figures that nothing else draws on."""

import matplotlib as mpl
import pytest

mpl.use("Agg")


@pytest.fixture
def ax():
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots()
    yield ax
    figure.canvas.draw()  # what can't be drawn, or only with a warning, comes out here
    plt.close("all")
