"""Small networks of each kind that people have, with data, and the gradients they should give."""

from __future__ import annotations

import inspect
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import torch
import torch.nn.functional as F  # noqa: N812 - as everyone calls it
from torch import nn

from labelnext.networks.untouched import uncompiled

torch.set_num_threads(1)

N, CLASSES = 11, 4
Named = namedtuple("Named", ["scores", "embedding"])


@dataclass
class Output:
    """As some libraries return what they have."""

    scores: torch.Tensor
    hidden: torch.Tensor


class Mlp(nn.Module):
    """A head called fc behind batch normalisation and dropout."""

    def __init__(self, n_outputs=CLASSES, *, bias=True):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.5))
        self.fc = nn.Linear(9, n_outputs, bias=bias)

    def forward(self, x):
        return self.fc(self.body(x))


class Ends(Mlp):
    """Returns something made of the logits."""

    def __init__(self, end, n_outputs=CLASSES):
        super().__init__(n_outputs)
        self.end = end

    def forward(self, x):
        h = self.body(x)
        return self.end(self.fc(h), h)


class Torchvision(nn.Module):
    """As torchvision's ResNet: layers, a pool, flatten, fc."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 5, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(5)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(5, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Timm(nn.Module):
    """As timm's vision transformers: forward_features, forward_head, get_classifier."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.head_drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, CLASSES)

    def get_classifier(self):
        return self.head

    def forward_features(self, x):
        return self.norm(self.block(self.patch(x).flatten(2).transpose(1, 2)))

    def forward_head(self, x, pre_logits: bool = False):
        x = self.head_drop(x[:, 0])
        return x if pre_logits else self.head(x)

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


class Efficientnet(nn.Module):
    """As torchvision's EfficientNet: a classifier of dropout and a layer."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.SiLU())
        self.classifier = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.Linear(5, CLASSES))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class Recurrent(nn.Module):
    """The last state of an LSTM over token ids."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 6)
        self.lstm = nn.LSTM(6, 7, batch_first=True)
        self.fc = nn.Linear(7, CLASSES)

    def forward(self, ids):
        return self.fc(self.lstm(self.embedding(ids))[0][:, -1])


class TwoInputs(nn.Module):
    """Takes a pair, and adds one class of its own weights to the other's."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 5), nn.Linear(3, 5)
        self.out = nn.Linear(5, CLASSES)

    def forward(self, left, right):
        return self.out(torch.tanh(self.left(left) + self.right(right)))


def _bert():
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=12, num_labels=CLASSES,
    )  # fmt: skip
    return BertForSequenceClassification(config)


def _distilbert():
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(
        vocab_size=30, dim=8, n_layers=1, n_heads=2, hidden_dim=12, num_labels=CLASSES
    )
    return DistilBertForSequenceClassification(config)


def _gpt2():
    from transformers import GPT2Config, GPT2ForSequenceClassification

    config = GPT2Config(
        vocab_size=30, n_embd=8, n_layer=1, n_head=2, n_inner=12, num_labels=CLASSES,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return GPT2ForSequenceClassification(config)


def _half_head():
    model = Mlp()
    model.fc = model.fc.double()
    model.body.append(nn.Identity())
    return nn.Sequential(model.body, _ToDouble(), model.fc)


class _ToDouble(nn.Module):
    def forward(self, x):
        return x.double()


def rows():
    return torch.randn(N, 6, generator=_generator())


def images():
    return torch.randn(N, 3, 8, 8, generator=_generator())


def ids():
    return torch.randint(3, 30, (N, 7), generator=_generator())


def tokens():
    """As a tokenizer returns them, padded at the end, with labels."""
    lengths = torch.arange(N) % 6 + 2
    mask = (torch.arange(7) < lengths[:, None]).long()
    return {
        "input_ids": ids() * mask,
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(mask),
        "labels": torch.zeros(N, dtype=torch.long),
    }


def _generator():
    return torch.Generator().manual_seed(5)


def _compiled():
    return torch.compile(Mlp(), backend="eager")


def _compiled_in_place():
    model = Mlp()
    model.compile(backend="eager")
    return model


def _compiled_within():
    model = Mlp()
    model.body = torch.compile(model.body, backend="eager")
    return model


def _weight_norm():
    model = Mlp()
    nn.utils.parametrizations.weight_norm(model.fc)
    return model


# Each kind: how to make one, its data, and the name of its head inside any wrappers.
KINDS = {
    "mlp": (Mlp, rows, "fc"),
    "no bias": (lambda: Mlp(bias=False), rows, "fc"),
    "linear": (lambda: nn.Linear(6, CLASSES), rows, ""),
    "dropout and linear": (lambda: nn.Sequential(nn.Dropout(), nn.Linear(6, 3)), rows, "1"),
    "torchvision": (Torchvision, images, "fc"),
    "timm": (Timm, images, "head"),
    "efficientnet": (Efficientnet, images, "classifier.1"),
    "recurrent": (Recurrent, ids, "fc"),
    "bert": (_bert, tokens, "classifier"),
    "distilbert": (_distilbert, tokens, "classifier"),
    "gpt2": (_gpt2, tokens, "score"),
    "compiled": (_compiled, rows, "fc"),
    "compiled in place": (_compiled_in_place, rows, "fc"),
    "compiled within": (_compiled_within, rows, "fc"),
    "data parallel": (lambda: nn.DataParallel(Mlp()), rows, "fc"),
    "double": (lambda: Mlp().double(), rows, "fc"),
    "bfloat16": (lambda: Mlp().bfloat16(), rows, "fc"),
    "float64 head": (_half_head, rows, "2"),
    "weight norm": (_weight_norm, rows, "fc"),
    "softmax": (lambda: Ends(lambda z, h: z.softmax(1)), rows, "fc"),
    "log softmax": (lambda: Ends(lambda z, h: z.log_softmax(1)), rows, "fc"),
    "tuple": (lambda: Ends(lambda z, h: (z, h)), rows, "fc"),
    "tuple, the other way": (lambda: Ends(lambda z, h: (h, z)), rows, "fc"),
    "named tuple": (lambda: Ends(Named), rows, "fc"),
    "dict": (lambda: Ends(lambda z, h: {"out": z, "hidden": h}), rows, "fc"),
    "dataclass": (lambda: Ends(Output), rows, "fc"),
    "attribute": (lambda: Ends(lambda z, h: SimpleNamespace(logits=z, hidden=h)), rows, "fc"),
    "logits and softmax": (lambda: Ends(lambda z, h: {"p": z.softmax(1), "z": z}), rows, "fc"),
    "cast": (lambda: Ends(lambda z, h: z.double()), rows, "fc"),
    "works in place after": (lambda: Ends(lambda z, h: (z, h.mul_(0))), rows, "fc"),
}  # fmt: skip


def make(kind):
    """Return a network of a kind, its data, and the name of its head."""
    factory, data, head = KINDS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return factory(), data(), head


def inner(model):
    return getattr(
        model, "_orig_mod", model.module if isinstance(model, nn.DataParallel) else model
    )


def per_sample_gradients(model, data, head, loss):
    """The gradients of a loss at the pseudo-label, each by autograd, for one sample at a time.

    Parameters
    ----------
    model : torch.nn.Module
        The network, whose copy is put into evaluation mode.
    data : tensor or dict of tensors
        The samples.
    head : str
        The name of the last layer.
    loss : callable
        Takes float64 logits of shape (1, n_classes).

    Returns
    -------
    torch.Tensor of shape (n, n_classes, n_features + 1), float64
        With respect to the weight and, in the last column, to the bias.
    """
    model = inner(model)
    modes = {name: module.training for name, module in model.named_modules()}
    layer = model.get_submodule(head)
    model.eval()
    weight = torch.zeros(layer.out_features, layer.in_features + 1).double().requires_grad_()
    caught = []

    def shifted(_, args, logits):
        # The logits as they are, but a function of a weight in float64: its gradient has the
        # precision of the check, not of the network.
        h = F.pad(args[0].detach().double(), (0, 1), value=1.0)
        caught.append(logits.detach().double() + h @ weight.T)
        return caught[-1].to(logits.dtype)

    handle = layer.register_forward_hook(shifted)
    gradients = []
    for i in range(N):
        with uncompiled(model):
            logits = _logits_of(model, data, i, caught)
        gradients.append(torch.autograd.grad(loss(logits), weight)[0])
    handle.remove()
    for name, module in model.named_modules():
        module.training = modes[name]
    return torch.stack(gradients)


def _logits_of(model, data, i, caught):
    if isinstance(data, dict):
        names = (set(data) - {"labels"}) & set(inspect.signature(model.forward).parameters)
        output = model(**{name: data[name][i : i + 1] for name in names})
        if caught[-1].ndim == 3:
            # Which position counts is the network's to say: it indexes what the hook returned.
            position = int(data["attention_mask"][i].sum()) - 1
            torch.testing.assert_close(output.logits.double(), caught[-1][:, position])
            return caught[-1][:, position]
    else:
        dtype = next(model.parameters()).dtype
        x = data[i : i + 1]
        model(x.to(dtype) if x.is_floating_point() else x)
    return caught[-1]


def cut(data, batch_size):
    """Options of `extract` for batches of this size, where it is not a loader that has its own."""
    return {} if isinstance(data, torch.utils.data.DataLoader) else {"batch_size": batch_size}
