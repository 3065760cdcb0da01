"""Small networks for tests, where a pickle can find them."""

from __future__ import annotations

import torch
from torch import nn

torch.set_num_threads(1)  # of networks as small as these, more only wait for each other


class Mlp(nn.Module):
    """Rows to logits through one hidden layer; its output can be made anything."""

    def __init__(self, n_features=4, hidden=8, n_outputs=3, end=None, dropout=0.0, norm=False):
        super().__init__()
        self.hidden = nn.Linear(n_features, hidden)
        self.norm = nn.BatchNorm1d(hidden) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, n_outputs)
        self.end = end

    def forward(self, x):
        logits = self.out(self.dropout(self.norm(self.hidden(x)).relu()))
        return logits if self.end is None else self.end(logits)


class Cnn(nn.Module):
    """Images of one channel to logits."""

    def __init__(self, n_outputs=3):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4, n_outputs)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean(dim=(2, 3)))


class TokenNet(nn.Module):
    """Token numbers to logits."""

    def __init__(self, n_tokens=20, n_outputs=3):
        super().__init__()
        self.embed = nn.Embedding(n_tokens, 6)
        self.fc = nn.Linear(6, n_outputs)

    def forward(self, x):
        return self.fc(self.embed(x).mean(dim=1))


class Headless(nn.Module):
    """Ends in a convolution: there is no last linear layer."""

    def __init__(self, n_outputs=3):
        super().__init__()
        self.conv = nn.Conv2d(1, n_outputs, 3)

    def forward(self, x):
        return self.conv(x).mean(dim=(2, 3))


class LazyMlp(nn.Module):
    """Finds out how many features there are when it sees them."""

    def __init__(self, n_outputs=3):
        super().__init__()
        self.hidden = nn.LazyLinear(16)
        self.out = nn.Linear(16, n_outputs)

    def forward(self, x):
        return self.out(self.hidden(x).relu())


def weights(module):
    """Copy all that training changes."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b):
    """Tell whether two such copies are equal to the last bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
