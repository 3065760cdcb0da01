"""
BADGE, pick by pick
===================

Labels cost time, so we want to ask for those from which a model learns most. **BADGE** [1]_
chooses a whole batch of samples at once, and it wants two things of them: that the model is
*unsure* about each, and that they *differ* from one another. Two features are enough to watch it
strike that balance.
"""

# %%
# Three arms, and no labels
# -------------------------
# Our samples lie on the three arms of a pinwheel, an arm for each class. The true classes are
# known here, so that we can play the person who is asked. At the start every label is missing.

import numpy as np
from matplotlib import animation
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap

from labelnext.classifier import ParzenWindowClassifier
from labelnext.pool import Badge
from labelnext.utils import MISSING_LABEL, labeled_indices
from labelnext.visualization import plot_contour_for_samples, plot_decision_boundary


def make_pinwheel(n_per_arm, rng):
    """Three arms of Gaussian samples, bent more the farther out they are."""
    arms = np.repeat(np.arange(3), n_per_arm)
    along, across = rng.normal(1.3, 0.5, arms.size), rng.normal(0, 0.42, arms.size)
    angle = 2 * np.pi * arms / 3 + 0.8 * along
    x = along * np.cos(angle) - across * np.sin(angle)
    y = along * np.sin(angle) + across * np.cos(angle)
    return np.column_stack([x, y]), arms


rng = np.random.default_rng(7)
X, y_true = make_pinwheel(110, rng)
X_test, y_test = make_pinwheel(300, rng)
y = np.full(len(X), MISSING_LABEL)

# %%
# The classifier is a Parzen window: a sample belongs to the class whose labelled samples are
# nearest, and the fewer there are nearby, the less sure it is. The query strategy needs a seed
# and nothing else.

clf = ParzenWindowClassifier(classes=[0, 1, 2], metric_dict={"gamma": 2.0}, random_state=0)
badge = Badge(random_state=0)

# %%
# A loop of six rounds
# --------------------
# Each round fits the classifier, asks for the next four samples, and has them labelled. With
# ``return_utilities=True`` a query also says what decided on each pick: row *t* of the utilities
# holds the probability of every sample to be pick *t*, given the picks before it. What each round
# saw is kept, to be drawn below.

rounds = []
for _ in range(6):
    clf.fit(X, y)
    picks, utilities = badge.query(X, y, clf, batch_size=4, return_utilities=True)
    rounds.append((y.copy(), picks, utilities, clf.score(X_test, y_test)))
    y[picks] = y_true[picks]

for labels, _, _, accuracy in rounds:
    print(f"{np.isfinite(labels).sum():2d} labels: {accuracy:.0%} of the test samples right")

# %%
# A panel for each pick
# ---------------------
# Purple is the utility: the darker, the more likely the next pick. Every place has the colour of
# the sample nearest to it. The star is the sample that was picked, and open circles are the picks
# before it in the same batch. Large dots have labels. The black lines are where the classifier
# changes its mind.

CLASSES = ListedColormap(["#0072b2", "#e69f00", "#009e73"])  # told apart by all eyes
BOUND = np.array([X.min(axis=0) - 0.15, X.max(axis=0) + 0.15])
PURPLES = ListedColormap(plt.get_cmap("Purples")(np.linspace(0, 0.8, 256)))
INK = "#1f2937"


def draw_pick(ax, t, labels, picks, utilities):
    """Draw the utilities that decided on pick `t` of a round, and the pick."""
    plot_contour_for_samples(
        X,
        utilities[t],
        replace_nan=None,  # labelled samples are no candidates: leave their places to others
        feature_bound=BOUND,
        res=60,
        ax=ax,
        contour_dict={"cmap": PURPLES, "alpha": 1, "levels": 12},
    )
    fitted = clf.fit(X, labels)
    plot_decision_boundary(
        fitted, BOUND, ax=ax, res=80, confidence=None, boundary_dict={"linewidths": 1.6}
    )
    look = {"cmap": CLASSES, "vmin": 0, "vmax": 2}
    ax.scatter(*X.T, c=y_true, s=13, linewidths=0.3, edgecolors="white", **look)
    known = labeled_indices(labels)
    ax.scatter(*X[known].T, c=y_true[known], s=75, edgecolors="white", linewidths=1.3, **look)
    ax.scatter(*X[picks[:t]].T, s=95, facecolors="white", edgecolors=INK, linewidths=1.5, zorder=3)
    ax.scatter(
        *X[picks[t]], marker="*", s=330, c="#facc15", edgecolors=INK, linewidths=1.2, zorder=4
    )
    rule = "the longest gradient" if t == 0 else "drawn in proportion to D²"
    ax.set_title(f"Pick {t + 1}: {rule}", fontsize=11, color=INK, loc="left")
    ax.set(xticks=[], yticks=[], xlim=BOUND[:, 0], ylim=BOUND[:, 1], aspect="equal")
    ax.spines[:].set_color("#d1d5db")


def draw_round(number, fig, axs):
    """Draw the four picks of a round in a grid."""
    labels, picks, utilities, accuracy = rounds[number]
    for t, ax in enumerate(axs.flat):
        ax.clear()
        draw_pick(ax, t, labels, picks, utilities)
    fig.suptitle(
        f"Round {number + 1}: {np.isfinite(labels).sum()} labels, {accuracy:.0%} accuracy",
        fontsize=14,
        fontweight="bold",
        color=INK,
    )


def new_grid():
    """Make a figure of 2 × 2 panels."""
    return plt.subplots(2, 2, figsize=(8.6, 8.4), layout="constrained")


# %%
# **What a gradient has to do with it.** Suppose that the most probable class of a sample, its
# *pseudo-label*, were its label. Training on it would then change the last linear layer of the
# model by a gradient, which BADGE takes to stand for the sample. It is the product of two
# vectors. One is the *residual* :math:`a`, the predicted probabilities minus 1 at the
# pseudo-label: near zero if the model is sure, long if it is not. The other holds the *features*
# :math:`h`, here the position :math:`x` itself. So a long gradient belongs to an unsure sample,
# and similar gradients to samples from which the model would learn much the same.
#
# **Why the first panel is a single spot.** The first pick is not left to chance. It is the
# sample of the longest gradient, so its utility is 1 and that of all others 0.
#
# **Why the others are landscapes.** From then on chance decides, with odds. Each sample has a
# :math:`D^2`, the squared distance of its gradient to the nearest gradient picked so far, and is
# drawn with a probability in proportion to it:
#
# .. math:: P(i) = \frac{D^2_i}{\sum_j D^2_j} .
#
# Each pick thus clears the ground around itself: a sample just like it has a :math:`D^2` of 0 and
# is not asked for again.
#
# The last round:

draw_round(5, *new_grid())

# %%
# **What to look for**
#
# - *Purple follows the black lines.* There the probabilities tie, so residuals are long. Where
#   the model is sure they are short.
# - *The tint of the second panel, gone in the third.* A sure sample has a gradient of almost 0.
#   That is far from the long first pick, so there is a chance that such a sample is drawn, and
#   here it was: the star in the middle of the green arm. It stands for all sure samples, and from
#   then on they are white.
# - *Neighbours across a line.* Picks 1 and 4 lie side by side and yet are no repetition: on either
#   side of a line the pseudo-labels differ, and gradients point in different directions.
# - *Purple grows outwards.* The features of this classifier are the coordinates, and a gradient
#   is as long as its residual times its features. Of two equally unsure samples the one farther
#   from the origin counts for more.

# %%
# Before the first label
# ----------------------
# The first round is worth a look of its own. A classifier that has seen no label finds all
# classes equally likely. All residuals are then the same, and gradients differ by their features
# alone: BADGE begins with the outermost sample, and spreads the others over the pool. There is
# no boundary yet.

draw_round(0, *new_grid())

# %%
# All rounds
# ----------
# Press play, and follow the black lines: most picks fall where they are still in doubt.

fig, axs = new_grid()
film = animation.FuncAnimation(fig, draw_round, frames=len(rounds), fargs=(fig, axs), interval=1600)

# %%
# .. [1] J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal, "Deep batch active
#    learning by diverse, uncertain gradient lower bounds", ICLR 2020.
