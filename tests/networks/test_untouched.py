"""The network, the random generators and the caller's context are as they were before."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nets
from labelnext.networks import extract, find_head


class Restless(nn.Module):
    """Does all that a network should not do in its forward."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.drop = nn.Dropout()
        self.fc = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("scale", torch.ones(4), persistent=False)
        self.n_calls = 0

    def forward(self, x):
        self.calls += 1
        self.n_calls += 1
        self.cache = x.mean()
        self.scale = self.scale * 1.5
        self.drop.train()
        self.bn.train()
        random.random()
        np.random.rand()  # noqa: NPY002
        x = self.drop(self.bn(self.conv(x)).mean((2, 3)))
        return self.fc(x)


def _restless():
    """A network in a state that is not what training or evaluation would make it."""
    torch.manual_seed(0)
    model = Restless()
    model(nets.images()).sum().backward()
    model.bn.eval()
    model.conv.weight.requires_grad_(False)
    model.fc.register_forward_hook(_nothing)
    model.fc.register_forward_pre_hook(_nothing)
    model.conv.register_full_backward_hook(_nothing)
    return model


def _nothing(*_):
    return None


def _state(model):
    modules = dict(model.named_modules())
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {
        "training": {name: m.training for name, m in modules.items()},
        "hooks": {
            name: [list(hooks.items()) for key, hooks in vars(m).items() if key.endswith("_hooks")]
            for name, m in modules.items()
        },
        "attributes": {
            name: {key: value for key, value in vars(m).items() if not isinstance(value, dict)}
            for name, m in modules.items()
        },
        "identities": {name: (id(t), t.data_ptr()) for name, t in tensors.items()},
        "values": {name: t.tolist() for name, t in tensors.items()},
        "versions": {name: t._version for name, t in model.named_parameters()},
        "wanted": {name: p.requires_grad for name, p in model.named_parameters()},
        "gradients": {
            name: None if p.grad is None else (id(p.grad), p.grad.tolist())
            for name, p in model.named_parameters()
        },
        "keys": list(model.state_dict()),
    }


def _generators():
    return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())  # noqa: NPY002


class Stop(Exception):  # noqa: N818
    pass


def _raise_at(at, error):
    def progress(done, total):
        if done >= at:
            raise error

    return progress


@pytest.mark.parametrize("error", [None, Stop, KeyboardInterrupt])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_all_is_as_it_was(error, device):
    model = _restless()
    before, generators = _state(model), _generators()
    arguments = {"batch_size": 4, "device": device}
    if error is None:
        extract(model, nets.images(), **arguments)
    else:
        with pytest.raises(error):
            extract(model, nets.images(), progress=_raise_at(8, error), **arguments)
    assert _generators() == generators
    assert _state(model) == before


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("call", [1, 2, 4])
def test_all_is_as_it_was_when_the_network_itself_raises(error, call):
    # Calls 1 and 2 are the search for the head.
    model = _restless()
    model.left = call

    def count(module, *_):
        module.left -= 1
        if not module.left:
            raise error

    model.register_forward_pre_hook(count)
    before, generators = _state(model), _generators()
    with pytest.raises(error):
        extract(model, nets.images(), batch_size=4)
    assert _generators() == generators
    assert _state(model) == before


@pytest.mark.filterwarnings("ignore:.torch.jit.*is deprecated:DeprecationWarning")
def test_scripted_parts_keep_their_mode():
    model = nets.Mlp()
    model.body = torch.jit.script(model.body)
    extract(model, nets.rows())
    assert all(module.training for module in model.modules())
    expected = extract(model, nets.rows(), batch_size=2).features
    np.testing.assert_allclose(extract(model, nets.rows()).features, expected, atol=1e-6)


def test_hooks_that_a_network_moves_run_in_their_order():
    class Moves(nets.Mlp):
        def forward(self, x):
            self.fc._forward_hooks.move_to_end(first.id)
            del self.body
            self.__dict__["_modules"]["body"] = body
            return super().forward(x)

    model = Moves()
    body = model.body
    first, second = (model.fc.register_forward_hook(_nothing) for _ in range(2))
    extract(model, nets.rows())
    assert list(model.fc._forward_hooks) == [first.id, second.id]
    assert [name for name, _ in model.named_children()] == ["body", "fc"]


def test_find_head_leaves_no_trace_either():
    model = _restless()
    before, generators = _state(model), _generators()
    find_head(model, nets.images())
    assert (_state(model), _generators()) == (before, generators)


@pytest.mark.one_of(2)
@pytest.mark.parametrize("kind", nets.KINDS)
def test_each_kind_is_as_it_was(kind):
    model, data, _ = nets.make(kind)
    before = _state(nets.inner(model))
    compiled = [m._compiled_call_impl for m in nets.inner(model).modules()]
    extract(model, data, batch_size=4)
    assert _state(nets.inner(model)) == before
    assert [m._compiled_call_impl for m in nets.inner(model).modules()] == compiled


def test_training_goes_on_as_if_nothing_had_happened():
    X, y = nets.images(), torch.arange(nets.N) % 4

    def train(interrupted):
        torch.manual_seed(1)
        model = nets.Timm()
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(3):
            loss = nn.functional.cross_entropy(model(X), y)
            if interrupted:
                # Between forward and backward: the graph must stay whole.
                extract(model, X, batch_size=4)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return model.state_dict()

    plain, interrupted = train(False), train(True)
    for name, values in plain.items():
        assert torch.equal(values, interrupted[name]), name


def test_a_compiled_network_stays_compiled_without_our_hook():
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    model = torch.compile(nets.Mlp().eval(), backend=backend)
    expected = model(nets.rows())
    n_graphs = len(graphs)
    for _ in range(2):
        extract(model, nets.rows())
        assert torch.equal(model(nets.rows()), expected)
    assert len(graphs) == n_graphs == 1
    # One that has not run yet is not compiled with a hook inside.
    model = torch.compile(nets.Mlp().eval(), backend=backend)
    extract(model, nets.rows())
    assert len(graphs) == 1


@pytest.mark.parametrize("what", ["whole", "in place", "within"])
def test_compiled_networks_in_versions_without_stances(monkeypatch, what):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    model = nets.Mlp().eval()
    expected = extract(model, nets.rows()).features
    if what == "in place":
        model.compile(backend=backend)
    elif what == "within":
        model.fc = torch.compile(model.fc, backend=backend)
    else:
        model = torch.compile(model, backend=backend)
    with torch.inference_mode():
        model(nets.rows())
    monkeypatch.delattr(torch.compiler, "set_stance", raising=False)  # from torch 2.6 on
    np.testing.assert_array_equal(extract(model, nets.rows()).features, expected)
    assert len(graphs) == 1


def test_what_is_compiled_before_the_head_runs_compiled():
    runs = []

    def backend(graph, inputs):
        def run(*args):
            runs.append(len(args))
            return graph.forward(*args)

        return run

    model = nets.Mlp()
    model.body = torch.compile(model.body, backend=backend)
    extract(model, nets.rows())
    assert len(runs) == 1


def test_data_is_not_changed_by_a_network_that_works_in_place():
    class InPlace(nets.Mlp):
        def forward(self, x):
            return super().forward(x.mul_(0.5))

    X = nets.rows()
    kept = X.clone()
    for data in (X, TensorDataset(X, X), {"x": X}, X.numpy()):
        extract(InPlace(), data, batch_size=4)
        assert torch.equal(X, kept)


def test_what_a_data_set_keeps_can_be_trained_on():
    class Caching(torch.utils.data.Dataset):
        def __init__(self):
            self.cache = {}

        def __len__(self):
            return nets.N

        def __getitem__(self, i):
            return self.cache.setdefault(i, nets.rows()[i] * 2)

    data = Caching()
    model = nets.Mlp()
    extract(model, data)
    assert not data.cache[3].is_inference()


def test_the_loaders_own_generator_is_as_it_was():
    generator = torch.Generator().manual_seed(4)
    loader = DataLoader(TensorDataset(nets.rows()), generator=generator)
    before = generator.get_state()
    extract(nets.Mlp(), loader)
    assert torch.equal(generator.get_state(), before)


def test_the_callers_context_does_not_matter_and_stays():
    model, X = nets.Mlp(), nets.rows()
    expected = extract(model, X).features
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        np.testing.assert_array_equal(extract(model, X).features, expected)
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_weights_cast_by_autocast_can_be_trained_afterwards():
    model, X = nets.Mlp(), nets.rows()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        extract(model, X, amp=torch.bfloat16)
        model(X).sum().backward()
    assert model.fc.weight.grad is not None


def test_batch_normalisation_and_dropout_are_in_evaluation_mode():
    model = nets.make("torchvision")[0]
    same = copy.deepcopy(model).eval()
    pool = extract(model, nets.images(), batch_size=2)
    logits = same(nets.images()).detach()
    np.testing.assert_allclose(pool.proba, logits.softmax(1).numpy(), atol=1e-6)


def test_the_network_runs_in_inference_mode():
    modes = []
    model = nets.Ends(lambda z, h: modes.append(torch.is_inference_mode_enabled()) or z)
    extract(model, nets.rows(), batch_size=6)
    assert modes == [True] * len(modes)
    assert len(modes) >= 2
