"""
A transformer, with dicts and logits
====================================

A sequence classifier of `transformers <https://huggingface.co/docs/transformers>`_ takes dicts of
tensors and returns an object with logits. :func:`labelnext.extract` knows both. To have one that is
small, and whose weights need not be fetched, we make a tiny BERT with random weights, and let it
read handwritten digits as texts: 16 words each, in a language of 17 greys.
"""

# %%
# .. note::
#
#    This example needs ``pip install labelnext[torch] transformers``, and no network. It is sized
#    by ``LABELNEXT_EXAMPLES``: run as it is, it takes longer. The pictures on this page are of
#    the short form, ``LABELNEXT_EXAMPLES=docs``.

import os

import numpy as np
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from transformers import BertConfig, BertForSequenceClassification

import labelnext

STEPS = {"full": 1_000, "docs": 300, "test": 20}[os.environ.get("LABELNEXT_EXAMPLES", "full")]
K = 100  # labels a round
N_POOL = 1_200
torch.set_num_threads(1)  # so small a model has no work for more

# %%
# Words, and a model from a config
# --------------------------------
# A word is the mean grey of 2 × 2 pixels. The pool is a list of dicts, as tokenizers make them.

X, y = load_digits(return_X_y=True)
greys = X.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).astype(int).reshape(-1, 16)
samples = [
    {"input_ids": words.tolist(), "labels": digit} for words, digit in zip(greys, y, strict=True)
]
pool_samples, others = samples[:N_POOL], samples[N_POOL:]


def make_model():
    """Make a tiny BERT with random weights, of larger spread than is usual for large ones."""
    config = BertConfig(
        vocab_size=17,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=16,
        initializer_range=0.1,
        num_labels=10,
    )
    return BertForSequenceClassification(config)


def train(labelled, seed):
    """Train a new model with the labels of some samples: dicts in, a loss out."""
    torch.manual_seed(seed)
    model = make_model()
    words, digits = torch.tensor(greys[labelled]), torch.tensor(y[labelled])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for _ in range(STEPS):
        rows = torch.randint(len(labelled), (32,))
        optimizer.zero_grad()
        model(input_ids=words[rows], labels=digits[rows]).loss.backward()
        optimizer.step()
    return model


# %%
# The last linear layer is found by running the model on a few samples, and comparing what its
# linear layers return with the logits. Of the two in question, the pooler's and the classifier's,
# it is the latter.

labelled = np.arange(K)
model = train(labelled, seed=0)
print(labelnext.networks.find_head(model, {"input_ids": torch.tensor(greys[:2])}).name)

# %%
# Two rounds
# ----------
# The dicts have labels. They are left aside: neither is a loss computed, nor would a wrong label
# change anything.

for seed in (1, 2):
    test = labelnext.extract(model, others)
    accuracy = np.mean(test.proba.argmax(axis=1) == y[N_POOL:])
    print(f"{len(labelled)} labels: {accuracy:.0%} of the later digits right")

    pool = labelnext.extract(model, pool_samples)
    batch = labelnext.select(pool, K, exclude=labelled, random_state=0)

    labelled = np.concatenate([labelled, batch.indices])  # here people come in
    model = train(labelled, seed)

accuracy = np.mean(labelnext.extract(model, others).proba.argmax(axis=1) == y[N_POOL:])
print(f"{len(labelled)} labels: {accuracy:.0%} of the later digits right")

# %%
# The start of the last batch, with what the model took each digit for. It saw less than we do: the
# 16 squares on the right of each.

fig, axs = plt.subplots(3, 8, figsize=(11, 2.9), layout="constrained")
for ax, pick in zip(axs.flat, batch, strict=False):
    seen = np.kron(greys[pick.row].reshape(4, 4), np.ones((2, 2)))
    gap = np.zeros((8, 1))
    ax.imshow(np.hstack([X[pick.row].reshape(8, 8), gap, seen]), cmap="gray_r")
    right = pick.pseudo_label == y[pick.row]
    ax.set_title(f"a {pick.pseudo_label}?", fontsize=9, color="#6b7280" if right else "#c2410c")
    ax.set_axis_off()
