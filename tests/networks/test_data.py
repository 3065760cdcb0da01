"""All kinds of data give the same rows, in their order."""

from collections import UserDict, namedtuple

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
)

import nets
from labelnext.networks import extract, find_head, proba_and_features

X = nets.rows()
Y = torch.arange(nets.N) % 4


class Stream(IterableDataset):
    """Rows without a length."""

    def __iter__(self):
        return iter(X)


class Lies(Stream):
    """Rows with a length that is not theirs."""

    def __len__(self):
        return 5


class Items(Dataset):
    """What a function makes of each row; some labels are missing."""

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return nets.N

    def __getitem__(self, i):
        return self.item(i)


class NotTorch:
    """A data set of another library."""

    def __len__(self):
        return nets.N

    def __getitem__(self, i):
        if not 0 <= i < nets.N:
            raise IndexError(i)
        return X[i].numpy()


Pair = namedtuple("Pair", ["x", "y"])
READ_ONLY = X.numpy().copy()
READ_ONLY.flags.writeable = False

SOURCES = {
    "tensor": X,
    "float64 tensor": X.double(),
    "array": X.numpy(),
    "float64 array": X.double().numpy(),
    "big-endian array": X.numpy().astype(">f4"),
    "read-only array": READ_ONLY,
    "columns": np.asfortranarray(X.numpy()),
    "list of tensors": list(X),
    "list of arrays": list(X.numpy()),
    "list of pairs": [(x, y) for x, y in zip(X, Y, strict=True)],
    "tensors and labels": TensorDataset(X, Y),
    "tensors, labels and weights": TensorDataset(X, Y, torch.ones(nets.N)),
    "part": Subset(TensorDataset(torch.cat([X, X]), torch.cat([Y, Y])), range(nets.N)),
    "another library's": NotTorch(),
    "missing labels": Items(lambda i: (X[i], None if i % 2 else 3)),
    "labels of many kinds": Items(lambda i: (X[i], {"boxes": Y[i]})),
    "named pairs": Items(lambda i: Pair(X[i], Y[i])),
    "dicts": Items(lambda i: {"x": X[i], "label": i, "name": f"sample {i}"}),
    "dicts with some labels": [{"x": X[i], **({"labels": 1} if i % 3 else {})} for i in range(11)],
    "lists of numbers": [{"x": x.tolist()} for x in X],
    "dict of tensors": {"x": X, "labels": Y},
    "dict of arrays": {"x": X.numpy()},
    "user dict": UserDict(x=X),
    "pairs of dict and label": Items(lambda i: ({"x": X[i]}, i)),
    "stream": Stream(),
    "stream with a length": Lies(),
    "loader": DataLoader(TensorDataset(X, Y), batch_size=3),
    "loader with a worker": DataLoader(TensorDataset(X, Y), batch_size=3, num_workers=1),
    "loader of a stream": DataLoader(Stream(), batch_size=3),
    "loader of a stream of batches": DataLoader(
        Stream(), batch_size=None, collate_fn=lambda x: x[None]
    ),
    "loader of batches": DataLoader(Items(lambda i: X[i : i + 1]), batch_size=None),
    "loader with a batch sampler": DataLoader(
        TensorDataset(X), batch_sampler=BatchSampler(SequentialSampler(X), 4, False)
    ),
    "loader of arrays": DataLoader(
        list(X.numpy()), batch_size=4, collate_fn=np.stack
    ),
    "sequential sampler": DataLoader(TensorDataset(X), sampler=SequentialSampler(range(nets.N))),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_gives_the_same_rows(source):
    torch.manual_seed(0)
    model = nets.Mlp()
    expected = [t.numpy() for t in proba_and_features(model, X)]
    pool = extract(model, SOURCES[source], **nets.cut(SOURCES[source], 4))
    np.testing.assert_allclose(pool.proba, expected[0], rtol=1e-5)
    np.testing.assert_allclose(pool.features, expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 5, 11, 100])
@pytest.mark.parametrize("workers", [0, 2])
def test_sizes_of_batches_and_workers_do_not_matter(batch_size, workers):
    model = nets.make("torchvision")[0]
    data = TensorDataset(nets.images(), Y)
    expected = extract(model, data).features
    data = Subset(data, range(nets.N))
    features = extract(model, data, batch_size=batch_size, num_workers=workers).features
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_labels_are_never_shown_to_the_network():
    class Watching(nets.Mlp):
        def forward(self, x, labels=None, y=None):
            assert labels is None
            assert y is None
            return super().forward(x)

    for data in (
        {"x": X, "labels": Y, "y": Y},
        [{"x": x, "labels": 1} for x in X],
        TensorDataset(X, Y),
        DataLoader([{"x": x, "y": 1} for x in X]),
    ):
        assert extract(Watching(), data).n_rows == nets.N


@pytest.mark.parametrize(
    "data",
    [
        {"left": X, "right": X[:, :3]},
        TensorDataset(X, X[:, :3]),
        TensorDataset(X, X[:, :3], Y),
        TensorDataset(X, X[:, :3], Y, Y),
        [{"right": x[:3], "left": x, "id": "a"} for x in X],
    ],
    ids=["dict", "pair", "pair and label", "pair, label and weight", "dicts"],
)
def test_networks_of_two_inputs(data):
    torch.manual_seed(0)
    model = nets.TwoInputs()
    expected = torch.tanh(model.left(X) + model.right(X[:, :3])).detach().numpy()
    np.testing.assert_allclose(extract(model, data, batch_size=4).features, expected, atol=1e-6)


def test_networks_that_take_a_dict_or_anything():
    class TakesDict(nets.Mlp):
        def forward(self, batch):
            assert set(batch) == {"x", "more"}
            return super().forward(batch["x"])

    class TakesAnything(nets.Mlp):
        def forward(self, *args, **kwargs):
            assert set(kwargs) == {"x", "more"}
            return super().forward(kwargs["x"])

    data = {"x": X, "more": X, "labels": Y}
    for model in (TakesDict(), TakesAnything()):
        assert extract(model, data, batch_size=4).n_rows == nets.N


def test_a_structure_inside_a_batch():
    class Nested(nets.Mlp):
        def forward(self, inputs):
            assert isinstance(inputs, list | tuple)
            return super().forward(inputs[0] + inputs[1]["x"])

    loader = DataLoader(Items(lambda i: ((X[i], {"x": X[i]}), i)), batch_size=4)
    assert extract(Nested(), loader).n_rows == nets.N
    named = DataLoader(Items(lambda i: (Pair(X[i], {"x": X[i]}), i)), batch_size=4)
    assert extract(Nested(), named).n_rows == nets.N
    assert find_head(Nested(), next(iter(loader))).name == "fc"


def test_batches_of_a_kind_of_their_own():
    class Graphs:
        def __init__(self, x):
            self.x = x

        def to(self, device):
            return self

    class Network(nets.Mlp):
        def forward(self, graphs):
            return super().forward(graphs.x)

    loader = DataLoader(list(X), batch_size=4, collate_fn=lambda rows: Graphs(torch.stack(rows)))
    assert extract(Network(), loader).n_rows == nets.N


def test_tokenizers_lists_for_a_transformer():
    model, data, _ = nets.make("bert")
    rows = [
        {key: values[i].tolist() for key, values in data.items()} | {"text": "…", "label": None}
        for i in range(nets.N)
    ]
    np.testing.assert_allclose(
        extract(model, rows, batch_size=4).features, extract(model, data).features, atol=1e-6
    )


def test_batch_encodings_of_a_transformer():
    from transformers import BatchEncoding

    model, data, _ = nets.make("bert")
    expected = extract(model, data).features
    loader = DataLoader(range(nets.N), batch_size=4, collate_fn=lambda rows: BatchEncoding(
        {key: values[rows] for key, values in data.items()}
    ))  # fmt: skip
    for source in (loader, BatchEncoding(dict(data))):
        np.testing.assert_allclose(extract(model, source).features, expected, atol=1e-6)


def test_lists_of_numbers_are_rows():
    # A list of lists was read as columns: of tokens, the first alone was shown to the network.
    rows = nets.ids().tolist()
    model = nets.make("recurrent")[0]
    features = extract(model, rows, batch_size=4).features
    np.testing.assert_allclose(features, extract(model, nets.ids()).features, atol=1e-6)
    pairs = [(row, 0) for row in rows]
    np.testing.assert_allclose(extract(model, pairs, batch_size=4).features, features, atol=1e-6)
