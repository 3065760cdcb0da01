"""What extract refuses, and whether it says why."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
)

import nets
from labelnext.networks import extract, find_head, proba_and_features

X = nets.rows()


def refuses(*said, error=ValueError):
    """Expect an error that says all of this."""
    return pytest.raises(error, match="(?s)" + ".*".join(map(re.escape, said)))


class Convolution(nn.Module):
    """A network without a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x).mean((2, 3))


class Tokens(nn.Module):
    """A prediction for each token."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 6)
        self.fc = nn.Linear(6, 4)

    def forward(self, ids):
        return self.fc(self.embedding(ids))


class TwoHeads(nets.Mlp):
    def __init__(self):
        super().__init__()
        self.domain = nn.Linear(9, 3)

    def forward(self, x):
        h = self.body(x)
        return self.fc(h), self.domain(h)


# The head


def test_a_model_without_a_linear_layer():
    with refuses("no torch.nn.Linear", "1 × 1 convolution"):
        extract(Convolution(), nets.images())


@pytest.mark.filterwarnings("ignore:.torch.jit.*is deprecated:DeprecationWarning")
def test_a_scripted_model():
    scripted = torch.jit.trace(nets.Mlp().eval(), X)
    with refuses("scripted", error=TypeError):
        extract(scripted, X)


def test_a_model_without_weights():
    with refuses("no torch.nn.Linear"):
        extract(nn.ReLU(), X)


def test_linear_layers_that_are_not_called():
    model = Convolution()
    model.unused = nn.Linear(3, 4)
    with refuses("None of the linear layers was called"):
        extract(model, nets.images())


def test_two_heads_are_listed_and_one_can_be_named():
    model = TwoHeads()
    with refuses("more than one head: fc", "domain", 'head="fc"', "domain (4, 9) -> (4, 3)"):
        extract(model, X)
    assert extract(model, X, head="domain").n_classes == 3
    assert extract(model, X, head=model.fc).n_classes == 4
    assert find_head(model, X, head="domain").output == "[1]"


@pytest.mark.parametrize(
    "end",
    [
        lambda z, h: z / 2,
        lambda z, h: z.div_(2),
        lambda z, h: F.relu(z),
        lambda z, h: F.relu_(z),
        lambda z, h: z + h[:, :4],
        lambda z, h: z[:, [1, 0, 2, 3]],
        lambda z, h: z[:, :3],
        lambda z, h: z.softmax(0),
    ],
)
def test_a_head_that_is_not_last(end):
    model = nets.Ends(end)
    with refuses("The head must be last", "fc (4, 9) -> (4, 4)", "logits", "head="):
        extract(model, X)
    # Naming it does not make it so.
    with refuses("The head must be last"):
        extract(model, X, head="fc")


def test_a_named_layer_that_is_not_the_last():
    with refuses("The head must be last", "head='body.0'"):
        extract(nets.Mlp(), X, head="body.0")


@pytest.mark.parametrize("inplace", [False, True])
def test_a_head_that_turns_out_not_to_be_last_later(inplace):
    # On the first samples all logits are positive.
    model = nn.Sequential(nn.Identity(), nn.Linear(6, 4, bias=False), nn.ReLU(inplace))
    nn.init.eye_(model[1].weight)
    data = torch.ones(10, 6)
    data[7] = -1.0
    with refuses("The head must be last", "begins with sample 6"):
        extract(model, data, batch_size=3)


def test_positions_of_a_sequence_that_cannot_be_told_apart():
    # Before training a head may be all zeros: then each position gives the same logits.
    model, data, _ = nets.make("gpt2")
    nn.init.zeros_(model.score.weight)
    with refuses("not from a clear position of a sequence"):
        extract(model, data)


def test_a_head_that_is_called_now_and_then():
    class Sometimes(nets.Mlp):
        def forward(self, x):
            h = self.body(x)
            return self.fc(h) if len(x) > 1 else F.linear(h, self.fc.weight)

    with refuses("was called 0 times on a batch"):
        extract(Sometimes(), X, batch_size=5)


def test_a_head_that_is_not_there():
    with refuses("no submodule head='classifier'", "body.0, fc"):
        extract(nets.Mlp(), X, head="classifier")
    with refuses("not a submodule", "fc"):
        extract(nets.Mlp(), X, head=nn.Linear(9, 4))
    with refuses("must be a torch.nn.Linear", "holds 0"):
        extract(nets.Mlp(), X, head="body.1")
    with refuses("must be the name", error=TypeError):
        extract(nets.Mlp(), X, head=3)


def test_a_head_may_be_named_by_what_holds_it():
    assert find_head(nets.Efficientnet(), nets.images(), head="classifier").name == "classifier.1"


# The outputs


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (Tokens(), nets.ids()),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Linear(8, 8)), nets.images()),
    ],
)
def test_outputs_that_are_not_n_by_c(model, data):
    with refuses("must be n × C", "got output (4,"):
        extract(model, data)


def test_rows_that_are_not_samples():
    class Windows(nets.Mlp):
        def forward(self, x):
            return super().forward(x.repeat(2, 1))

    with refuses("must be n × C", "gave 10 for the 5 samples from 0 on"):
        extract(Windows(), X, batch_size=5)
    with refuses("gave 10 for the 5 samples"):
        extract(Windows(), DataLoader(_Stream(), batch_size=5))


def test_outputs_whose_shape_changes():
    class Changes(nets.Mlp):
        def forward(self, x):
            logits = super().forward(x)
            return logits if len(x) > 1 else logits[0]

    with refuses("must be n × C", "got shape (4,) where the head gave (1, 4)"):
        extract(Changes(), X, batch_size=5)


def test_outputs_that_are_no_tensors():
    class Silent(nets.Mlp):
        def forward(self, x):
            super().forward(x)

    with refuses("returned no tensor"):
        extract(Silent(), X)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("row", [0, 4, 10])
def test_logits_that_are_no_numbers(bad, row):
    data = X.clone()
    data[row, 2] = bad
    model = nn.Sequential(nn.Identity(), nn.Linear(6, 4))
    nn.init.ones_(model[1].weight)
    with refuses(f"logits of sample {row} are NaN or infinite"):
        extract(model, data, batch_size=4)


def test_logits_of_minus_infinity_are_classes_that_are_ruled_out():
    model = nets.Mlp()
    nn.init.constant_(model.fc.bias, 0.0)
    with torch.no_grad():
        model.fc.bias[2] = -float("inf")
    assert (proba_and_features(model, X)[0][:, 2] == 0).all()


def test_features_too_large_for_float16():
    data = X.clone()
    data[6] = 1e6
    with refuses("features of sample 6 are too large for dtype=torch.float16"):
        extract(nn.Sequential(nn.Identity(), nn.Linear(6, 4)), data, dtype="float16", batch_size=4)


# The task


def test_a_task_that_is_none_or_not_the_models():
    with refuses("task must be"):
        extract(nets.Mlp(), X, task="vectors")
    with refuses("one logit, got 4"):
        extract(nets.Mlp(), X, task="binary")
    with refuses("ends with sigmoid", "task='multilabel'"):
        extract(nets.Ends(lambda z, h: z.sigmoid()), X)
    with refuses("ends with softmax", "task='multiclass'"):
        extract(nets.Ends(lambda z, h: z.softmax(1)), X, task="multilabel")


# The data


class _Stream(IterableDataset):
    def __init__(self, rows=X):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


class _Raises(Dataset):
    def __init__(self, at):
        self.at = at

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        if i == self.at:
            raise OSError("the file is broken")
        return X[i], 0


@pytest.mark.parametrize(
    "data",
    [
        X[:0],
        X[:0].numpy(),
        [],
        TensorDataset(X[:0]),
        {"x": X[:0]},
        DataLoader(TensorDataset(X[:0])),
        DataLoader(_Stream(X[:0])),
        _Stream(X[:0]),
    ],
    ids=["tensor", "array", "list", "data set", "dict", "loader", "loader of a stream", "stream"],
)
def test_no_samples(data):
    with refuses("data holds no samples"):
        extract(nets.Mlp(), data)


@pytest.mark.parametrize(("at", "workers"), [(0, 0), (6, 0), (10, 0), (6, 1)])
def test_a_data_set_that_raises_at_an_item(at, workers, monkeypatch):
    # How long torch waits for a worker to end by itself.
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)
    with refuses("OSError: the file is broken", f"item {at}.", error=RuntimeError):
        extract(nets.Mlp(), _Raises(at), batch_size=4, num_workers=workers)
    with refuses("OSError: the file is broken", f"item {at}.", error=RuntimeError):
        extract(nets.Mlp(), DataLoader(_Raises(at), batch_size=4, num_workers=workers))


def test_a_stream_that_raises():
    def rows():
        yield from X[:6]
        raise OSError("the line is broken")

    class Broken(IterableDataset):
        def __iter__(self):
            return rows()

    with refuses("batch that begins with item 4", "the line is broken", error=RuntimeError):
        extract(nets.Mlp(), DataLoader(Broken(), batch_size=4))


def test_batches_that_cannot_be_read():
    class Batches(_Raises):
        def __getitem__(self, i):
            return super().__getitem__(i)[0][None]

    with refuses("the data raised at batch 3", "the file is broken", error=RuntimeError):
        extract(nets.Mlp(), DataLoader(Batches(3), batch_size=None))


def test_samples_of_several_sizes():
    with refuses("items 0 to 1 could not be put together", error=RuntimeError):
        extract(nets.Mlp(), [torch.ones(6), torch.ones(5)])
    rows = [{"input_ids": [1, 2, 3]}, {"input_ids": [1, 2]}]
    with refuses("'input_ids' has rows of 2 to 3 numbers", "pad", error=RuntimeError):
        extract(nets.make("bert")[0], rows)


def test_samples_of_varying_keys():
    rows = [{"input_ids": [1, 2]}, {"input_ids": [1, 2], "attention_mask": [1, 1]}]
    with refuses("same keys", "number 1 of the batch", "attention_mask", error=RuntimeError):
        extract(nets.make("bert")[0], rows)


def test_batches_of_varying_keys():
    rows = [{"input_ids": torch.ones(3).long()} for _ in range(6)]
    rows[4]["attention_mask"] = rows[5]["attention_mask"] = torch.ones(3).long()
    loader = DataLoader(rows, batch_size=2, collate_fn=default_collate)
    with refuses("same keys", "begins with sample 4", "['attention_mask', 'input_ids']"):
        extract(nets.make("bert")[0], loader)


def test_dicts_without_what_the_model_needs():
    with refuses("TwoInputs.forward requires ['right']", "['left', 'other']"):
        extract(nets.TwoInputs(), {"left": X, "other": X})


def test_tuples_that_are_not_clear():
    class Masked(nets.Mlp):
        def forward(self, x, mask=None):
            return super().forward(x if mask is None else x * mask)

    data = TensorDataset(X, X, torch.zeros(nets.N))
    with refuses("holds 3 elements", "not clear", "dicts"):
        extract(Masked(), data)
    with refuses("requires ['left', 'right']", "hold 1"):
        extract(nets.TwoInputs(), TensorDataset(X))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("images/", "str"),
        (None, "NoneType"),
        (7, "int"),
        ((x for x in X), "generator"),
        ({"x": [1, 2]}, "dict"),
    ],
    ids=["str", "none", "int", "generator", "dict"],
)
def test_data_of_no_known_kind(data, said):
    with refuses("data must be a DataLoader", said, error=TypeError):
        extract(nets.Mlp(), data)


def test_arrays_that_cannot_be_samples():
    with refuses("single number"):
        extract(nets.Mlp(), torch.tensor(1.0))
    with refuses("dtype object", error=TypeError):
        extract(nets.Mlp(), np.array([None, 1]))
    with refuses("one length, got [10, 11]"):
        extract(nets.TwoInputs(), {"left": X, "right": X[:10]})
    with refuses("batch_size must be"):
        extract(nets.Mlp(), X, batch_size=0)
    with refuses("num_workers must be"):
        extract(nets.Mlp(), X, num_workers=-1)


@pytest.mark.parametrize("option", [{"batch_size": 4}, {"num_workers": 0}])
@pytest.mark.parametrize("data", [list(X), _Stream()], ids=["list", "stream"])
def test_a_loader_has_its_own_size_of_batches_and_workers(tmp_path, data, option):
    name = next(iter(option))
    loader = DataLoader(data, batch_size=4)
    for door in (
        lambda: extract(nets.Mlp(), loader, **option),
        lambda: extract(nets.Mlp(), loader, out=tmp_path / "pool", **option),
        lambda: extract([nets.Mlp(), nets.Mlp()], loader, **option),
        lambda: proba_and_features(nets.Mlp(), loader, **option),
    ):
        with refuses("A DataLoader has a", f"leave {name}=", "out", error=TypeError):
            door()


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


MASKED = np.ma.masked_array(X.numpy(), X.numpy() > 1)


@pytest.mark.parametrize(
    "data",
    [
        MASKED,
        {"x": MASKED},
        list(MASKED),
        [{"x": row} for row in MASKED],
        [(row, 0) for row in MASKED],
        Items(list(MASKED)),
        DataLoader(list(MASKED), batch_size=4, collate_fn=np.ma.stack),
    ],
    ids=["array", "dict", "list", "dicts", "tuples", "data set", "loader"],
)
def test_masked_values(data):
    with pytest.raises(
        (ValueError, RuntimeError),
        match=r"has masked values, the first in row \d+, which would be used",
    ):
        extract(nets.Mlp(), data)


def test_what_is_known_in_another_order_than_the_samples(tmp_path):
    index = [*range(nets.N)]
    frame = pd.DataFrame(X.numpy(), index=index)
    for name, values in {"ids": index, "groups": index, "labels": [1] * nets.N}.items():
        known = pd.Series(values, index=index[::-1])
        for out in ({}, {"out": tmp_path / "pool"}):
            with refuses(f"data and {name} have the same index in another order"):
                extract(nets.Mlp(), frame, **{name: known}, **out)
        assert extract(nets.Mlp(), frame, **{name: known.loc[frame.index]}).n_rows == nets.N
        assert extract(nets.Mlp(), frame, **{name: known.to_numpy()}).n_rows == nets.N


# Loaders whose rows would not line up

ROWS = TensorDataset(X)


def _out_of_order():
    loader = DataLoader(ROWS, num_workers=1)
    loader.in_order = False  # an argument from torch 2.6 on
    return loader


@pytest.mark.parametrize(
    ("loader", "said"),
    [
        (DataLoader(ROWS, shuffle=True), "shuffles"),
        (DataLoader(ROWS, batch_size=None, shuffle=True), "shuffles"),
        (DataLoader(ROWS, sampler=SubsetRandomSampler(range(5))), "SubsetRandomSampler"),
        (DataLoader(ROWS, sampler=[3, 1, 2]), "list"),
        (DataLoader(ROWS, batch_size=4, drop_last=True), "drops the last batch"),
        (DataLoader(_Stream(), batch_size=4, drop_last=True), "drops the last batch"),
        (
            DataLoader(ROWS, batch_sampler=BatchSampler(SequentialSampler(ROWS), 4, True)),
            "drops the last batch",
        ),
        (
            DataLoader(ROWS, batch_sampler=BatchSampler(SubsetRandomSampler(range(9)), 4, False)),
            "SubsetRandomSampler",
        ),
        (DataLoader(ROWS, batch_sampler=[[3, 1], [2]]), "list"),
        (_out_of_order(), "in_order=False"),
    ],
)
def test_loaders_that_do_not_line_up(loader, said):
    with refuses(said, "Row i of the result must be sample i"):
        extract(nets.Mlp(), loader)


def test_workers_that_would_each_yield_all():
    with refuses("Each of num_workers=2 workers"):
        extract(nets.Mlp(), _Stream(), num_workers=2)


# Where and how


def test_a_device_that_is_not_there():
    for device in ("cuda:77", "nonsense"):
        with refuses(f"device='{device}' is not there", "Devices here: cpu"):
            extract(nets.Mlp(), X, device=device)
    with refuses("meta device"):
        extract(nets.Mlp().to("meta"), X)


def test_lazy_layers_without_weights():
    with refuses("lazy layers"):
        extract(nn.Sequential(nn.LazyLinear(4)), X)


def test_dtypes_that_are_none():
    for dtype in ("float99", torch.int8, int, "no"):
        with refuses("dtype must be a floating dtype"):
            extract(nets.Mlp(), X, dtype=dtype)
    with refuses("amp must be"):
        extract(nets.Mlp(), X, amp=torch.float64)


@pytest.mark.parametrize("model", [3, "resnet18", lambda x: x])
def test_models_that_are_no_modules(model):
    with refuses("must be a torch.nn.Module", error=TypeError):
        extract(model, X)


# Short messages


class Deep(nn.Module):
    """Many layers with long names, and what they give, all returned."""

    def __init__(self, end=None):
        super().__init__()
        self.end = end
        self.blocks_of_a_transformer_with_many_layers = nn.ModuleList(
            nn.ModuleDict({"the_projection_of_the_attention": nn.Linear(6, 6)}) for _ in range(60)
        )

    def forward(self, x):
        states = []
        for block in self.blocks_of_a_transformer_with_many_layers:
            x = x + block["the_projection_of_the_attention"](x)
            states.append(x)
        return {f"state_{i}": state for i, state in enumerate(states)}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"head": "blocks.1"},
        {"head": "blocks_of_a_transformer_with_many_layers"},
        {"head": "blocks_of_a_transformer_with_many_layers.3.the_projection_of_the_attention"},
        {"head": nn.ModuleList(nn.Linear(6, 6) for _ in range(60))},
        {"head": torch.ones(500, 500)},
    ],
    ids=["none", "not there", "too many", "not last", "another module", "no module"],
)
def test_messages_of_large_networks_are_short(options):
    with pytest.raises((ValueError, TypeError)) as caught:
        extract(Deep(), X, **options)
    assert 50 < len(str(caught.value)) < 1_200


def test_messages_of_large_batches_are_short():
    rows = [{f"column_{i}": 0.0 for i in range(2_000)} for _ in range(4)]
    rows[2]["more"] = 0.0
    for data in (rows[:2], rows, DataLoader(rows[1:], batch_size=1)):
        with pytest.raises((ValueError, RuntimeError)) as caught:
            extract(nets.TwoInputs(), data)
        assert len(str(caught.value)) < 700


def test_names_that_are_near_are_offered():
    with refuses("head='fcc'", "did you mean 'fc'"):
        extract(nets.Mlp(), X, head="fcc")
