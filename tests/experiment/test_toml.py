"""Experiments in TOML files: what they say, and what is said to mistakes."""

import re
from urllib.error import URLError

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from broken_strategies import Slow
from labelnext.experiment import Budget, read_experiment
from labelnext.experiment._catalog import DATA, Data, load_file
from labelnext.experiment.toml import EXAMPLE

BASE = {
    "data": '"digits"',
    "models": '"logistic"',
    "strategies": '["badge", "random"]',
    "budgets": "{ start = 20, batch = 10, rounds = 2 }",
}


@pytest.fixture
def read(tmp_path):
    def _read(allow_imports=False, **changes):
        lines = [f"{key} = {value}" for key, value in (BASE | changes).items() if value]
        path = tmp_path / "experiment.toml"
        path.write_text("\n".join(lines))
        return read_experiment(path, allow_imports=allow_imports)

    return _read


def test_names_and_tables(read):
    experiment = read(
        models='{ use = "mlp", name = "net", hidden_layer_sizes = [8, 4] }',
        strategies='["badge", { use = "broken_strategies:Slow", name = "mine", seconds = 0.5 }]',
        budgets="[{ start = 20, batch = 10, rounds = 2 }, { start = 9, batch = 3, rounds = 1 }]",
        seeds="[3, 5]",
        levels="[0.8, 0.9]",
        test_size="0.25",
        reference='"mine"',
        allow_imports=True,
    )
    assert isinstance(experiment.models["net"], MLPClassifier)
    assert experiment.models["net"].hidden_layer_sizes == (8, 4)
    assert isinstance(experiment.strategies["mine"], Slow)
    assert experiment.strategies["mine"].seconds == 0.5
    assert experiment.budgets == (Budget(20, 10, 2), Budget(9, 3, 1))
    assert (experiment.seeds, experiment.levels) == ((3, 5), (0.8, 0.9))
    assert (experiment.test_size, experiment.reference) == (0.25, "mine")


def test_the_example_is_an_experiment(tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(EXAMPLE.format(name=path.name))
    experiment = read_experiment(path)
    assert list(experiment.data) == ["digits", "letter"]
    assert list(experiment.strategies) == ["badge", "margin", "random"]


def test_a_file_of_ones_own_is_sought_beside_the_toml_file(read, tmp_path):
    X, y = np.arange(40.0).reshape(20, 2), np.array(["a", "b"] * 10)
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    (source,) = read(data='{ use = "file", name = "m", file = "mine.npz" }').data.values()
    loaded = source()
    np.testing.assert_array_equal(loaded[0], X)
    np.testing.assert_array_equal(loaded[1], y)
    for name, content in (("none.npz", None), ("text.npz", b"no"), ("other.npz", {"a": X})):
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        elif content is not None:
            np.savez(tmp_path / name, **content)
        (source,) = read(data=f'{{ use = "file", file = "{name}" }}').data.values()
        with pytest.raises(ValueError, match=r"expected an \.npz file with the arrays X and y"):
            source()


def test_samples_are_drawn_with_the_classes_in_proportion():
    X, y = np.arange(100.0)[:, None], np.repeat([0, 1], [80, 20])
    drawn = Data(lambda: (X, y), {"samples": 50})
    assert np.bincount(drawn()[1]).tolist() == [40, 10]
    np.testing.assert_array_equal(drawn()[0], drawn()[0])
    np.testing.assert_array_equal(y[drawn()[0][:, 0].astype(int)], drawn()[1])
    assert len(Data(lambda: (X, y), {"samples": 500})()[1]) == 100


LARGE = ("fashion-mnist", "newsgroups", "shuttle")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in LARGE else ())
        for name in sorted(set(DATA) - {"file"})
    ],
)
def test_data_sets_that_have_a_name(name, monkeypatch):
    def offline(**_):
        raise URLError("the tests ask nothing of the network")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    X, y = Data(DATA[name])()
    assert X.shape[0] == len(y) > 1000
    assert 0 <= X.min() <= X.max() <= 1


@pytest.mark.parametrize("form", ['{{ use = "{}" }}', '["{}"]', '"{}"'])
@pytest.mark.parametrize("key", ["data", "models", "strategies"])
def test_no_file_imports_what_its_reader_has_not_allowed(read, tmp_path, monkeypatch, key, form):
    (tmp_path / "stranger.py").write_text("open('it_ran', 'w')\ndef thing(): open('it_ran', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"would import stranger and run its code.*allow_imports"):
        read(**{key: form.format("stranger:thing")})
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"strategies": '"os:system"'},
            "strategy 'os:system' must be a class with query, or a func",
        ),
        ({"strategies": '"os:sep"'}, "must be a class with query"),
        ({"strategies": '"sklearn.svm:SVC"'}, "must be a class with query"),
        ({"models": '"broken_strategies:Slow"'}, "must be a class with fit and predict, or a func"),
        ({"models": '"subprocess:check_output"'}, "does not take"),
        ({"data": '"os:system"'}, "must be a function that returns samples and labels"),
        ({"data": '"broken_strategies:Slow"'}, "must be a function that returns samples"),
        ({"data": '"broken_strategies:no_such"'}, "cannot be imported: AttributeError"),
        ({"data": '"no_such_module:x"'}, "cannot be imported: ModuleNotFoundError"),
        ({"data": '":"'}, "must be module:name, as in my_code:Name, got ':'"),
    ],
)
def test_what_is_imported_must_be_of_the_right_kind(read, changes, message):
    with pytest.raises(ValueError, match=message):
        read(allow_imports=True, **changes)


# Each key with a value of each type that TOML has.
VALUES = ['"text"', '""', "5", "-1", "0", "0.5", "nan", "inf", "true", "1979-05-27", "[]", "{}"]
VALUES += [
    "[5]",
    "[[5]]",
    "[true]",
    '["a", "b"]',
    "[{}]",
    "{ use = 5 }",
    '{ use = "digits", name = 5 }',
]
VALUES += [
    '{ use = "file", file = 5 }',
    '{ use = "file", file = "\\u0000" }',
    "12345678901234567890123",
]
VALUES += ['{ use = "digits", samples = "many" }', '{ use = "digits", samples = true }']
VALUES += ['{ start = "x", batch = 1, rounds = 1 }', "{ start = 1, batch = 1.5, rounds = 1 }"]
VALUES += [
    '"\\u001b[31m"',
    '{ use = "badge", name = "\\u001b[31m" }',
    '{ use = "badge", name = " " }',
]
VALUES += ["[" * 2000 + "]" * 2000, "9" * 5000]


@pytest.mark.parametrize("key", [*BASE, "seeds", "test_size", "levels", "reference"])
def test_values_of_any_type_are_read_or_refused_in_one_line(read, key):
    for value in VALUES:
        try:
            read(**{key: value})
        except ValueError as error:
            message = str(error)
            assert "experiment.toml" in message
            assert not re.search(r"object is not|unexpected keyword|NoneType|__\w+__", message)
            assert len(message) < 900


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": '["bagde"]'}, r"toml: unknown strategy 'bagde'; did you mean 'badge'"),
        ({"data": '"digit"'}, "unknown data set 'digit'; did you mean 'digits'"),
        ({"models": '"logistik"'}, "unknown model 'logistik'; did you mean 'logistic'"),
        ({"models": '{ use = "mlp", alhpa = 1 }'}, "model 'mlp' does not take .*alhpa"),
        ({"models": '{ name = "mlp" }'}, "a table needs the key use"),
        ({"strategies": '["badge", "badge"]'}, "'badge' is there twice"),
        ({"sedes": "3"}, "unknown key 'sedes'; did you mean 'seeds'"),
        ({"budgets": "{ start = 1, bacth = 2, rounds = 2 }"}, "'bacth'; did you mean 'batch'"),
        ({"budgets": "{ start = 1, batch = 2 }"}, "rounds is missing"),
        ({"budgets": "100"}, "a budget is a table"),
        ({"budgets": None}, "budgets is missing"),
        ({"seeds": '"three"'}, "seeds must be whole numbers"),
        ({"data": "[unclosed"}, "is not a TOML file"),
        ({"data": "5"}, 'data must be names such as "digits", or tables, got 5'),
        ({"levels": "5"}, "levels must be accuracies from 0 to 1, got 5"),
    ],
)
def test_mistakes(read, changes, message):
    with pytest.raises(ValueError, match=message):
        read(**changes)


def test_a_file_is_never_said_to_be_loaded_unsafely(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    labels = np.array(["a", None, "b"], dtype=object)
    np.savez(tmp_path / "objects.npz", X=np.ones((3, 2)), y=labels)
    with pytest.raises(ValueError, match=r"writes it: this is no \.npz file\.$"):
        load_file(str(tmp_path / "text.npz"))
    with pytest.raises(ValueError, match=r"holds Python objects; save y\.astype\(str\)"):
        load_file(str(tmp_path / "objects.npz"))
