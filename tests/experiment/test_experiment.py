"""What an experiment may be made of, and what it says to what it may not."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from labelnext.datasets import Dataset
from labelnext.experiment import Budget, Experiment, Setting
from labelnext.pool import Badge, RandomSampling, UncertaintySampling

X = np.arange(60.0).reshape(30, 2)
y = np.arange(30) % 3


def make(**changes):
    return Experiment(
        **{
            "data": {"toy": (X, y)},
            "models": "naive-bayes",
            "strategies": ["badge", "random"],
            "budgets": Budget(5, 5, 2),
            "seeds": 1,
        }
        | changes
    )


def test_names_stand_for_things():
    experiment = make(models=["naive-bayes", "mlp"], strategies=["BADGE", "margin", "random"])
    assert isinstance(experiment.models["naive-bayes"], GaussianNB)
    assert isinstance(experiment.strategies["BADGE"], Badge)
    assert experiment.strategies["margin"].method == "margin_sampling"
    assert isinstance(experiment.strategies["random"], RandomSampling)
    assert make(seeds=3).seeds == (0, 1, 2)
    assert make(seeds=[7, 3]).seeds == (7, 3)
    assert make(budgets=[(5, 1, 2), Budget(5, 2, 1)]).budgets == (Budget(5, 1, 2), Budget(5, 2, 1))
    assert [str(setting) for setting in experiment.settings()] == [
        "toy, naive-bayes, batches of 5 from 5",
        "toy, mlp, batches of 5 from 5",
    ]


def test_names_are_those_of_the_registry_and_near_ones_come_from_it():
    from labelnext import strategies

    for name in strategies.names():
        assert type(make(strategies=[name]).strategies[name]) is strategies.find(name)
    near = make(strategies=["least-confident"]).strategies["least-confident"]
    assert near.method == "least_confident"
    with pytest.raises(ValueError, match=r"did you mean 'max-herding'.*typi-clust.*module:name"):
        make(strategies="max-hearding")


def test_any_strategy_of_the_pool_has_a_name():
    from labelnext import pool

    for name in pool.__all__:
        item = getattr(pool, name)
        if issubclass(item, pool.QueryStrategy) and not getattr(item, "__abstractmethods__", ()):
            assert type(make(strategies=[name]).strategies[name]) is item
            spelled = "".join(f"-{letter}" if letter.isupper() else letter for letter in name)
            assert type(make(strategies=spelled.strip("-")).strategies.popitem()[1]) is item


def test_the_strategy_that_errors_are_measured_by():
    assert make().measure == "random"
    assert make(strategies=["random", "badge"], reference="badge").measure == "badge"
    assert make(strategies=["badge", "margin"]).measure == "margin"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": "bagde"}, "unknown strategy 'bagde'; did you mean 'badge'"),
        ({"strategies": "zzz"}, "unknown strategy 'zzz'; there are badge, .*random"),
        ({"data": "digitz"}, "unknown data set 'digitz'; did you mean 'digits'"),
        ({"models": ["logistics"]}, "unknown model 'logistics'; did you mean 'logistic'"),
        (
            {"models": "nowhere:Model"},
            "model 'nowhere:Model' cannot be imported: ModuleNotFoundError: No m",
        ),
        ({"data": []}, "data must hold at least one"),
        ({"strategies": ["badge", "badge"]}, "must differ in name"),
        ({"strategies": [Badge()]}, "strategies must be names, or a dict"),
        ({"strategies": {"b": GaussianNB()}}, "strategy 'b' has no method query"),
        ({"models": {"m": Badge()}}, "model 'm' must have fit and predict"),
        ({"budgets": []}, "at least one Budget"),
        ({"budgets": Budget(0, 5, 2)}, "start must be a whole number from 1, got 0"),
        ({"budgets": Budget(5, 2.5, 2)}, "batch must be a whole number"),
        ({"seeds": [0, 0]}, "each once"),
        ({"seeds": 0}, "seeds must be one or more"),
        ({"seeds": True}, "number of seeds must be from 1"),
        ({"models": {5: GaussianNB()}}, "models must have names that can be printed, got 5"),
        ({"strategies": {"a\x1b[31m": Badge()}}, "must have names that can be printed"),
        ({"budgets": [(5, 1, 3), (5, 1, 2)]}, "budgets must differ in start or batch"),
        ({"strategies": {"setting": Badge()}}, "must not be called 'setting'"),
        ({"seeds": [-1]}, "from 0 to"),
        ({"test_size": 1.0}, "test_size must be a share"),
        ({"levels": [90]}, "levels must be accuracies from 0 to 1, got 90"),
        ({"reference": "margin"}, "reference must be one of badge, random, got 'margin'"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"budgets": Budget(5, 4, 4)},
            r"data set 'toy': The pool has 20 .* fewer than the 21.* 3 of",
        ),
        ({"budgets": Budget(5, 16, 1)}, "0 of this size would do"),
        ({"data": {"toy": (X, y[:-1])}}, "data set 'toy': there must be one label for each sample"),
        (
            {"data": {"toy": (X, [*y[:-1], np.nan])}},
            "data set 'toy': all labels must be known, and some are NaN",
        ),
        ({"data": {"toy": (X, [*y[:-1], None])}}, "labels must be all of one type, got"),
        ({"data": {"toy": (X, [f"name {row}" for row in range(30)])}}, "measurements or names"),
        ({"data": {"toy": lambda: {}["x"]}}, "data set 'toy': KeyError: 'x'"),
        ({"data": {"toy": lambda: 5}}, "data set 'toy': TypeError: cannot unpack"),
    ],
)
def test_data_that_will_not_do_are_found_before_the_first_run(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes).run(n_jobs=1, progress=lambda *_: pytest.fail("it ran"))


@pytest.mark.parametrize("form", ["pair", "dataset", "function"])
def test_forms_of_data(form):
    given = {
        "pair": (X, y),
        "dataset": Dataset(X, y, "Toy", "memory", ("a", "b", "c")),
        "function": lambda: (X, y),
    }[form]
    results = make(data={"toy": given}).run(n_jobs=1)
    (curves,) = results.curves().values()
    assert set(results.curves()) == {Setting("toy", "naive-bayes", 5, 5)}
    assert np.isfinite(curves.accuracy["badge"]).all()


def test_the_callers_strategies_and_models_are_kept():
    strategy, model = UncertaintySampling("entropy"), GaussianNB()
    make(strategies={"s": strategy}, models={"m": model}).run(n_jobs=1)
    assert strategy.random_state is None
    assert not hasattr(model, "classes_")
