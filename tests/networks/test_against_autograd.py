"""The factors are those of the gradients that autograd computes, one sample at a time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import nets
from labelnext.engine import open_gradients
from labelnext.networks import extract, find_head, proba_and_features


def _from_factors(pool):
    factors = open_gradients(pool).gather(np.arange(pool.n_rows))
    features = np.asarray(factors.features)
    if factors.bias:
        features = np.pad(features, ((0, 0), (0, 1)), constant_values=1.0)
    return factors.residuals[:, :, None] * features[:, None, :]


def _cross_entropy(logits):
    return F.cross_entropy(logits, logits.argmax(1))


def _binary_cross_entropy(logits):
    return F.binary_cross_entropy_with_logits(
        logits, (logits.sigmoid() >= 0.5).double(), reduction="sum"
    )


@pytest.mark.one_of(2)
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("kind", nets.KINDS)
def test_multiclass(kind, bias):
    model, data, head = nets.make(kind)
    # A row at a time for the oracle; here batches of 4, the last of 3.
    pool = extract(model, data, bias=bias, batch_size=4)
    expected = nets.per_sample_gradients(model, data, head, _cross_entropy).numpy()
    # Half-precision products depend on the size of the batch.
    tolerance = 2e-2 if kind == "bfloat16" else 1e-5
    np.testing.assert_allclose(
        _from_factors(pool), expected if bias else expected[:, :, :-1], rtol=0, atol=tolerance
    )
    assert pool.n_rows == nets.N
    assert np.abs(expected).max() > 0.01


def test_bfloat16_with_batches_of_one():
    model, data, head = nets.make("bfloat16")
    pool = extract(model, data, bias=True, batch_size=1)
    expected = nets.per_sample_gradients(model, data, head, _cross_entropy).numpy()
    np.testing.assert_allclose(_from_factors(pool), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("task", "n_outputs"), [("multilabel", 4), ("multilabel", 1), ("binary", 1), ("multiclass", 1)]
)
@pytest.mark.parametrize(
    "end",
    [
        lambda z, h: z,
        lambda z, h: z.sigmoid(),
        lambda z, h: F.logsigmoid(z),
        lambda z, h: z.squeeze(-1),
        lambda z, h: {"logits": z.sigmoid().squeeze(-1)},
    ],
    ids=["logits", "sigmoid", "logsigmoid", "squeezed", "squeezed sigmoid in a dict"],
)
def test_sigmoids(task, n_outputs, end):
    torch.manual_seed(1)
    model = nets.Ends(end, n_outputs)
    pool = extract(model, nets.rows(), task=task, bias=True, batch_size=4)
    expected = nets.per_sample_gradients(model, nets.rows(), "fc", _binary_cross_entropy).numpy()
    np.testing.assert_allclose(_from_factors(pool), expected, rtol=0, atol=1e-5)
    assert pool.task == ("binary" if task == "multiclass" else task)


@pytest.mark.parametrize("kind", nets.KINDS)
def test_the_head_is_found(kind):
    model, data, name = nets.make(kind)
    if isinstance(data, torch.Tensor) and data.is_floating_point():
        data = data.to(next(nets.inner(model).parameters()).dtype)
    head = find_head(model, data)
    assert head.name == name
    assert head.module is nets.inner(model).get_submodule(name)
    assert head.pooled == (kind == "gpt2")


@pytest.mark.parametrize("kind", nets.KINDS)
def test_probabilities_are_the_models(kind):
    model, data, _ = nets.make(kind)
    proba, features = proba_and_features(model, data, batch_size=3)
    torch.testing.assert_close(proba.sum(1), torch.ones(nets.N, dtype=proba.dtype))
    assert proba.dtype in (torch.float32, torch.float64)
    assert features.dtype != torch.bfloat16
    assert not proba.is_inference()
    assert not features.is_inference()


def test_a_distributed_network(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        model = nets.Mlp()
        wrapped = nn.parallel.DistributedDataParallel(model)
        expected = proba_and_features(model, nets.rows())
        ours = proba_and_features(wrapped, nets.rows(), head="module.fc")
    finally:
        torch.distributed.destroy_process_group()
    assert all(map(torch.equal, ours, expected))


def test_a_head_that_is_called_for_each_view_of_a_sample():
    class Siamese(nets.Mlp):
        def forward(self, x):
            other = self.fc(self.body(-x))
            return self.fc(self.body(x)), other.detach().mean()

    torch.manual_seed(0)
    model = Siamese()
    plain = nets.Mlp()
    plain.load_state_dict(model.state_dict())
    assert find_head(model, nets.rows()).call == 1
    for ours, theirs in zip(
        proba_and_features(model, nets.rows()), proba_and_features(plain, nets.rows()), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_head_that_is_shared_under_two_names():
    model = nets.Mlp()
    model.alias = model.fc
    assert find_head(model, nets.rows()).module is model.fc
    assert extract(model, nets.rows(), head="alias").n_rows == nets.N


def test_subclasses_of_linear_are_heads():
    class Mine(nn.Linear):
        pass

    model = nets.Mlp()
    model.fc = Mine(9, 3)
    assert find_head(model, nets.rows()).name == "fc"
    model.fc = nn.modules.linear.NonDynamicallyQuantizableLinear(9, 3)
    assert find_head(model, nets.rows()).name == "fc"


def test_zeros_at_the_start_of_training_do_not_hide_the_head():
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 4))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    assert find_head(model, nets.rows()).name == "2"
