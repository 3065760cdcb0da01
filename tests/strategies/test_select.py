"""Every strategy from both doors, `select` and `query`, and what `select` takes and refuses."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

import labelnext
from labelnext import Pool, select, strategies
from labelnext.pools.arrays import ArraySource
from labelnext.strategies import Badge, MaxHerding, QueryStrategy, RandomSampling

NAN = np.nan
N, K = 90, 7
RNG = np.random.default_rng(4)
TRUE = np.arange(N) % 3
X = np.eye(4)[TRUE] + 0.8 * RNG.normal(size=(N, 4))
Y = np.where(np.arange(N) % 6 == 5, TRUE, NAN)
Y[:4] = TRUE[:4]
LABELED, UNLABELED = np.flatnonzero(~np.isnan(Y)), np.flatnonzero(np.isnan(Y))
GROUPS = np.array([f"video {i}" for i in RNG.integers(12, size=N)])
CLF = LogisticRegression().fit(X[LABELED], TRUE[LABELED])
MEMBERS = [
    model.fit(X[LABELED], TRUE[LABELED])
    for model in (GaussianNB(), LogisticRegression(C=0.01), LogisticRegression(C=50))
]
PROBA = CLF.predict_proba(X)
OPINIONS = np.stack([member.predict_proba(X) for member in MEMBERS])
KNOWN = {
    "proba": PROBA,
    "features": X,
    "last_layer": (CLF.coef_, CLF.intercept_),
    "labels": Y,
}
POOL = Pool(**KNOWN)
NAMES = strategies.names()
COMMITTEES = [name for name in NAMES if "members" in strategies.find(name).needs]
# Drawn by lot: the score is what the law is made of.
DRAWN = {"power-margin", "cluster-margin", "falcun"}


def pool_for(name, **known):
    if name in COMMITTEES:
        known = {"proba": OPINIONS, **known}
    return Pool(**{**KNOWN, **known})


def query(name, k=K, seed=3, **arguments):
    """Ask in scikit-activeml's manner, of a classifier as it is."""
    strategy = strategies.by_name(name, random_state=seed)
    if name != "random":
        clf = MEMBERS if name in COMMITTEES else CLF
        arguments = {"clf": clf, "fit_clf": False, **arguments}
    return strategy.query(X, Y, batch_size=k, **arguments)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


class TestBothDoors:
    def test_the_same_picks(self, name):
        batch = select(pool_for(name), K, strategy=name, random_state=3)
        assert batch.indices.tolist() == query(name).tolist()
        assert set(batch.indices) <= set(UNLABELED)
        assert len(set(batch.indices)) == K

    @pytest.mark.parametrize("limit", [1, 2])
    def test_with_groups(self, name, limit):
        options = {"groups": GROUPS, "max_per_group": limit}
        batch = select(pool_for(name), K, strategy=name, random_state=3, **options)
        assert batch.indices.tolist() == query(name, **options).tolist()
        assert np.unique(GROUPS[batch.indices], return_counts=True)[1].max() <= limit
        # Groups that the pool knows, of any hashable kind, one of them full from the start or not.
        known = pool_for(name, groups=[(group, 1) for group in GROUPS])
        again = select(known, K, strategy=name, random_state=3, max_per_group=limit)
        assert again.indices.tolist() == batch.indices.tolist()
        assert again.groups.tolist() == [(group, 1) for group in GROUPS[batch.indices]]

    def test_as_many_as_groups_leave(self, name):
        n_groups = len(set(GROUPS[UNLABELED]))
        options = {"groups": GROUPS, "max_per_group": 1}
        batch = select(pool_for(name), n_groups, strategy=name, random_state=0, **options)
        assert len(set(GROUPS[batch.indices])) == n_groups
        with pytest.raises(ValueError, match=f"=1 leaves of the candidates, {n_groups}"):
            select(pool_for(name), n_groups + 1, strategy=name, **options)
        with pytest.warns(UserWarning, match=f"leaves of the candidates; {n_groups}"):
            picks = query(name, n_groups + 5, seed=0, **options)
        assert picks.tolist() == batch.indices.tolist()

    def test_utilities_are_missing_where_nothing_can_be_picked(self, name):
        options = {"groups": GROUPS, "max_per_group": 2}
        picks, utilities = query(name, return_utilities=True, **options)
        for t in range(K):
            names, counts = np.unique(GROUPS[picks[:t]], return_counts=True)
            free = np.isnan(Y) & ~np.isin(GROUPS, names[counts == 2])
            free[picks[:t]] = False
            np.testing.assert_array_equal(~np.isnan(utilities[t]), free)

    def test_scores(self, name):
        batch = select(pool_for(name), K, strategy=name, random_state=3)
        utilities = query(name, return_utilities=True)[1]
        if name in ("badge", "random"):
            assert batch.scores is None
        elif name in DRAWN:
            assert batch.scores.shape == (K,)
            assert ((batch.scores >= 0) & (batch.scores <= 2)).all()
        else:
            np.testing.assert_allclose(
                batch.scores, utilities[np.arange(K), batch.indices], rtol=1e-9, atol=1e-12
            )

    def test_a_sample_alone_and_all_of_them(self, name):
        for k in (1, len(UNLABELED)):
            batch = select(pool_for(name), k, strategy=name, random_state=3)
            assert batch.indices.tolist() == query(name, k).tolist()
            assert len(set(batch.indices)) == k

    def test_a_batch_is_the_start_of_a_larger_one(self, name):
        batches = [
            select(pool_for(name), k, strategy=name, random_state=3).indices.tolist()
            for k in (3, 20)
        ]
        if strategies.find(name).batches_are_prefixes:
            assert batches[0] == batches[1][:3]

    def test_excluded_rows(self, name):
        some, ids = UNLABELED[::2], [f"img{i}" for i in range(N)]
        pool = pool_for(name, ids=ids)
        batch = select(pool, K, strategy=name, exclude=some, random_state=3)
        assert set(batch.indices) <= set(UNLABELED[1::2])
        named = select(
            pool,
            K,
            strategy=name,
            exclude=some[:9],
            exclude_ids={ids[row] for row in some[5:]},
            random_state=3,
        )
        assert named.indices.tolist() == batch.indices.tolist()
        assert named.ids.tolist() == [ids[row] for row in batch.indices]
        # Labelled ones may be excluded as well; they still count as labelled.
        both = [*some, *LABELED]
        again = select(pool, K, strategy=name, exclude=both, random_state=3)
        assert again.indices.tolist() == batch.indices.tolist()

    def test_the_pool_is_never_changed(self, name):
        arrays = {part: np.array(values) for part, values in (("proba", PROBA), ("features", X))}
        if name in COMMITTEES:
            arrays["proba"] = OPINIONS.copy()
        before = {part: values.copy() for part, values in arrays.items()}
        for values in arrays.values():
            values.flags.writeable = False
        select(Pool(**{**KNOWN, **arrays}), K, strategy=name, random_state=3)
        for part, values in arrays.items():
            np.testing.assert_array_equal(values, before[part])


class TestFeatures:
    """Features of the caller's own, in `query`."""

    @pytest.mark.parametrize("container", [np.array, sp.csr_array, pd.DataFrame, torch.tensor])
    @pytest.mark.parametrize("of", ["badge", "clue", "bait", "max-herding"])
    def test_are_those_that_count(self, of, container):
        own = X[:, ::-1] ** 2
        batch = select(pool_for(of, features=own), K, strategy=of, random_state=3)
        assert query(of, features=container(own)).tolist() == batch.indices.tolist()
        assert query(of).tolist() != batch.indices.tolist()

    def test_without_a_classifier(self):
        own = X[:, :2] * 3
        strategy = MaxHerding(random_state=0)
        with_own = strategy.query(X, Y, features=own, batch_size=K)
        assert with_own.tolist() == strategy.query(own, Y, batch_size=K).tolist()

    def test_not_where_none_are_looked_at(self):
        with pytest.raises(TypeError, match="UncertaintySampling looks at no features; leave"):
            query("uncertainty", features=X)
        with pytest.raises(TypeError, match="Bald looks at no features"):
            query("bald", features=X)

    def test_not_of_another_length_or_for_other_samples(self):
        with pytest.raises(ValueError, match="one row for each sample of X, 90, got 89"):
            query("badge", features=X[:-1])
        with pytest.raises(ValueError, match="candidates must be rows of X; pass row numbers"):
            query("badge", 2, features=X, candidates=X[:5] + 1)

    def test_the_last_step_knows_none_of_them(self):
        with pytest.raises(TypeError, match="features of your own can't be asked"):
            query("drop-query", features=X)


# What a pool lacks without some of what is known, and what the error says to pass.
LACKS = {
    "proba": ({"proba": None, "last_layer": None}, "proba=... of the model"),
    "features": ({"features": None, "last_layer": None}, "features=..., what the model's"),
    "members": ({}, "proba=... of shape (n_members, n_rows, n_classes)"),
    "last_layer": ({"last_layer": None}, "last_layer=(weights, bias) of shapes"),
}


class TestNeeds:
    def test_a_lack_says_what_to_pass(self, name):
        cls = strategies.find(name)
        for need in cls.needs:
            without, advice = LACKS[need]
            known = {**KNOWN, **without}
            message = rf"^{name} needs .*{re.escape(advice)}"
            with pytest.raises(ValueError, match=message):
                select(Pool(**known), 3, strategy=name)

    def test_what_there_is(self):
        only = Pool(features=X)
        with pytest.raises(ValueError, match="needs probabilities; this pool has features only"):
            select(only, 3, strategy="uncertainty")
        with pytest.raises(ValueError, match=r"^badge needs probabilities; this pool has features"):
            select(only, 3)
        with pytest.raises(
            ValueError, match=r"^MaxHerding needs features; this pool has probabilities only"
        ):
            select(Pool(PROBA), 3, strategy=MaxHerding())

    def test_what_is_needed_is_enough(self, name):
        needs = {*strategies.find(name).needs}
        known = {part: KNOWN[part] if part in needs else None for part in ("proba", "features")} | {
            "last_layer": KNOWN["last_layer"] if "last_layer" in needs else None
        }
        if "members" in needs:
            known["proba"] = OPINIONS
        if not needs:
            known["features"] = X
        assert len(select(Pool(**known), K, strategy=name, random_state=0)) == K

    @pytest.mark.parametrize("task", ["multiclass", "binary", "regression"])
    def test_names_of_classes_are_no_probabilities(self, task):
        classes = None if task == "regression" else ["no", "yes"]
        pool = Pool(features=X, task=task, classes=classes)
        with pytest.raises(ValueError, match="needs probabilities; this pool has features only"):
            select(pool, 3, strategy="uncertainty")
        assert len(select(pool, 3, strategy="max-herding")) == 3

    def test_gradients_of_ones_own_need_no_probabilities(self):
        for task in ("regression", "vectors"):
            pool = Pool(features=X, task=task)
            batch = select(pool, K, random_state=0)
            assert batch.pseudo_labels is None
            again = select(pool, K, strategy=Badge(random_state=0))
            assert again.indices.tolist() == batch.indices.tolist()

    @pytest.mark.parametrize("task", ["multilabel", "vectors"])
    def test_probabilities_that_are_not_of_classes(self, name, task):
        of_labels = RNG.random((N, 3))
        cls = strategies.find(name)
        labels = None
        if task == "multilabel":
            labels = np.full((N, 3), NAN)
            labels[:10] = 1.0
        pool = Pool(of_labels, X, task="multilabel", last_layer=KNOWN["last_layer"], labels=labels)
        if name in COMMITTEES:
            pool = Pool(np.stack([of_labels] * 2), X, task="multilabel", labels=labels)
        pool = Pool.of(pool, task=task)
        if name != "badge" and {"proba", "members"} & {*cls.needs}:
            with pytest.raises(ValueError, match=rf"^{name} chooses by .*{task}"):
                select(pool, 3, strategy=name)
        elif (name, task) == ("prob-cover", "multilabel"):
            with pytest.raises(ValueError, match=r"^prob-cover needs n_classes or delta"):
                select(pool, 3, strategy=name)
        else:
            batch = select(pool, 3, strategy=name, random_state=0)
            assert len(set(batch.indices)) == 3
            if task == "multilabel":
                assert batch.indices.min() >= 10
                assert batch.pseudo_labels.dtype == bool


class TestTasks:
    @pytest.mark.parametrize("of", [n for n in NAMES if "proba" in strategies.find(n).needs])
    @pytest.mark.parametrize("shape", [(N,), (N, 1)])
    def test_one_logit_speaks_for_two_classes(self, of, shape):
        if of == "badge":
            return  # whose gradient is another
        p = PROBA[:, 0]
        two = select(Pool(np.stack([1 - p, p], axis=1), X), K, strategy=of, random_state=1)
        for task in ("binary", None):
            one = select(Pool(p.reshape(shape), X, task=task), K, strategy=of, random_state=1)
            assert one.indices.tolist() == two.indices.tolist()
            assert one.pseudo_labels.tolist() == two.pseudo_labels.tolist()

    @pytest.mark.parametrize("of", [n for n in NAMES if n not in COMMITTEES])
    def test_of_a_committee_the_mean(self, of):
        mean = pool_for(of, proba=OPINIONS.mean(axis=0))
        several = pool_for(of, proba=OPINIONS)
        batch = select(mean, K, strategy=of, random_state=1)
        assert select(several, K, strategy=of, random_state=1).indices.tolist() == (
            batch.indices.tolist()
        )

    def test_class_names_and_pseudo_labels(self, name):
        labels = np.where(np.isnan(Y), None, np.array(["cat", "dog", "owl"])[TRUE])
        pool = pool_for(name, classes=["cat", "dog", "owl"], labels=labels, missing_label=None)
        batch = select(pool, K, strategy=name, random_state=3)
        assert batch.indices.tolist() == query(name).tolist()
        mean = OPINIONS.mean(axis=0) if name in COMMITTEES else PROBA
        assert batch.pseudo_labels.tolist() == mean[batch.indices].argmax(axis=1).tolist()
        assert batch[0].pseudo_label in ("cat", "dog", "owl")
        assert len(batch.to_pandas()) == K

    def test_prob_cover_asks_for_the_number_of_classes_of_labels_that_are_none(self):
        pool = Pool(features=X, task="regression", labels=np.where(np.isnan(Y), NAN, X[:, 0]))
        with pytest.raises(ValueError, match=r"^prob-cover needs n_classes or delta"):
            select(pool, 3, strategy="prob-cover")
        assert len(select(pool, 3, strategy=strategies.ProbCover(n_classes=4))) == 3

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8])
    def test_numbers_of_other_kinds(self, name, dtype):
        features = np.round(8 * X)
        proba = np.round(PROBA * 8) / 8
        proba[:, 0] += 1 - proba.sum(axis=1)
        arrays = {"features": features, "proba": np.abs(proba)}
        exact = {**arrays, "features": features.astype(dtype)}
        if name in COMMITTEES:
            arrays, exact = ({**a, "proba": np.stack([a["proba"]] * 2)} for a in (arrays, exact))
        expected = select(Pool(**{**KNOWN, **arrays}), K, strategy=name, random_state=3)
        batch = select(Pool(**{**KNOWN, **exact}), K, strategy=name, random_state=3)
        # Of samples that are equally good to the last bit, the dtype may decide.
        if name not in ("drop-query", "max-herding", "uncertainty-herding", "typi-clust"):
            assert batch.indices.tolist() == expected.indices.tolist()
        assert len(set(batch.indices)) == K


class Farthest(QueryStrategy):
    """A user's own: samples far from the origin."""

    needs = ("features",)

    def __init__(self, power=1, missing_label=NAN, random_state=None):
        super().__init__(missing_label, random_state)
        self.power = power

    def _choose(self, query):
        norms = np.linalg.norm(query.features(), axis=1) ** self.power
        return query.largest(norms)


class TestOnesOwn:
    @pytest.mark.parametrize("strategy", [Farthest, Farthest(2)], ids=["class", "instance"])
    def test_a_class_or_an_instance(self, strategy):
        norms = np.where(np.isnan(Y), np.linalg.norm(X, axis=1), -1)
        batch = select(POOL, 5, strategy=strategy)
        assert batch.indices.tolist() == np.argsort(-norms)[:5].tolist()
        power = 1 if isinstance(strategy, type) else 2
        np.testing.assert_allclose(batch.scores, norms[batch.indices] ** power)
        assert batch.pseudo_labels.tolist() == PROBA[batch.indices].argmax(axis=1).tolist()
        assert batch.d2 is None
        own = Farthest() if isinstance(strategy, type) else strategy
        assert own.query(X, Y, batch_size=5).tolist() == batch.indices.tolist()

    def test_parameters_of_a_strategy(self):
        near = select(POOL, K, strategy=MaxHerding(radius=0.05), random_state=0)
        far = select(POOL, K, strategy=MaxHerding(radius=5.0), random_state=0)
        assert near.indices.tolist() != far.indices.tolist()
        with pytest.raises(ValueError, match="radius must be"):
            select(POOL, K, strategy=MaxHerding(radius=-1))

    def test_the_seed_of_a_strategy_counts_unless_the_call_has_one(self):
        own = select(POOL, K, strategy=RandomSampling(random_state=5))
        assert select(POOL, K, strategy="random", random_state=5).indices.tolist() == (
            own.indices.tolist()
        )
        other = select(POOL, K, strategy=RandomSampling(random_state=5), random_state=6)
        assert other.indices.tolist() != own.indices.tolist()

    def test_groups_of_a_strategy(self):
        strategy = Badge(max_per_group=1, random_state=0)
        batch = select(Pool(**KNOWN, groups=GROUPS), K, strategy=strategy)
        assert len(set(GROUPS[batch.indices])) == K
        two = select(Pool(**KNOWN, groups=GROUPS), 20, strategy=strategy, max_per_group=2)
        assert np.unique(GROUPS[two.indices], return_counts=True)[1].max() == 2

    @pytest.mark.parametrize(
        "picks",
        [[0, 0, 1], [0, 1], [0, 1, 99], [-1, 0, 1], [0.0, 1.0, 2.0], [[0, 1, 2]]],
        ids=str,
    )
    def test_what_is_no_batch_is_refused(self, picks):
        class Wrong(Farthest):
            def _choose(self, query):
                return np.array(picks)

        message = r"Wrong\._choose must return 3 distinct integers from 0 to \d+, places"
        with pytest.raises(ValueError, match=message):
            select(POOL, 3, strategy=Wrong)
        with pytest.raises(ValueError, match=message):
            Wrong().query(X, Y, batch_size=3)

    def test_groups_that_are_not_heeded_are_refused(self):
        class Heedless(Farthest):
            def _choose(self, query):
                return np.argsort(-np.linalg.norm(query.features(), axis=1))[: query.k]

        options = {"groups": np.arange(N) // 30, "max_per_group": 1}
        for ask in (
            lambda: select(POOL, 3, strategy=Heedless, **options),
            lambda: Heedless().query(X, Y, batch_size=3, **options),
        ):
            with pytest.raises(ValueError, match=r"picked more than 1 of one group.*query\.first"):
                ask()
        Heedless.takes_groups = False
        for ask in (
            lambda: select(POOL, 3, strategy=Heedless, **options),
            lambda: Heedless().query(X, Y, batch_size=3, **options),
        ):
            with pytest.raises(TypeError, match=r"Heedless takes no groups.*max_per_group=1"):
                ask()
        assert len(select(POOL, 3, strategy=Heedless)) == 3

    def test_utilities_are_scores_where_there_are_no_others(self):
        class WithUtilities(Farthest):
            def _choose(self, query):
                scores = np.arange(query.n_candidates, dtype=float)
                picks = query.first(np.argsort(-scores))
                return picks, query.utilities_of_scores(scores, picks)

        n = len(UNLABELED)
        assert select(POOL, 3, strategy=WithUtilities).scores.tolist() == [n - 1, n - 2, n - 3]


class TestNames:
    def test_all_are_there(self):
        assert len(NAMES) == len(set(NAMES)) >= 17
        for name in NAMES:
            assert issubclass(strategies.find(name), QueryStrategy)
            assert getattr(labelnext.pool, strategies.find(name).__name__) is strategies.find(name)

    @pytest.mark.parametrize("spelling", ["MaxHerding", "max_herding", "MAX-Herding"])
    def test_as_people_spell_them(self, spelling):
        assert strategies.find(spelling) is MaxHerding
        batch = select(POOL, 3, strategy=spelling, random_state=0)
        expected = select(POOL, 3, strategy="max-herding", random_state=0)
        assert batch.indices.tolist() == expected.indices.tolist()

    def test_badge_by_any_name(self):
        expected = select(POOL, K, random_state=0)
        for strategy in ("badge", "Badge", "BADGE", Badge, Badge()):
            batch = select(POOL, K, strategy=strategy, random_state=0)
            assert batch.indices.tolist() == expected.indices.tolist()
            np.testing.assert_array_equal(batch.d2, expected.d2)

    def test_an_unknown_name(self):
        with pytest.raises(ValueError, match=r"unknown strategy 'max-hering'.*max-herding.*there"):
            select(POOL, 3, strategy="max-hering")
        with pytest.raises(ValueError, match="unknown strategy 'xyzzy'; there are badge, bait"):
            strategies.by_name("xyzzy")

    @pytest.mark.parametrize("strategy", [None, 3, GaussianNB, GaussianNB(), object])
    def test_no_strategy(self, strategy):
        with pytest.raises(TypeError, match="strategy must be a name such as 'badge', a strategy"):
            select(POOL, 3, strategy=strategy)

    def test_about(self):
        table = strategies.about()
        assert [row.name for row in table] == NAMES
        for row in table:
            assert re.match(r"^[A-Z][^\n]{20,90}\.$", row.summary), row
            assert set(row.needs) <= {"proba", "features", "members", "last_layer"}
            assert row.paper or row.name == "random"
        summaries = [row.summary for row in table]
        assert len(set(summaries)) == len(summaries)


class TestRowsInMessages:
    """They are rows of the pool, also where some of its rows are no candidates."""

    WRONG = int(UNLABELED[20])

    def wrong(self, name, part):
        values = np.array(pool_for(name).read(part))
        values[..., self.WRONG, :] *= np.nan if part == "features" else 0.5
        return values

    @pytest.mark.parametrize(
        ("of", "part"),
        [
            (name, part)
            for name in NAMES
            for part in ("proba", "features")
            if {part, "members"[: 7 * (part == "proba")]} & {*strategies.find(name).needs}
        ],
    )
    def test_in_memory_and_in_files(self, of, part, tmp_path):
        pool = pool_for(of, **{part: self.wrong(of, part)})
        with pytest.raises(ValueError, match=rf"row {self.WRONG}(,| sums|;)"):
            select(pool, K, strategy=of, random_state=0)
        if of in COMMITTEES:
            return
        known = {"proba": PROBA, "features": X, part: self.wrong(of, part)}
        for name, values in known.items():
            np.save(tmp_path / f"{name}.npy", values)
        files = [f"{tmp_path}/{name}.npy" for name in known]
        pool = labelnext.open_pool(proba=files[0], features=files[1], labels=Y)
        if "last_layer" in strategies.find(of).needs:
            return
        with pytest.raises(ValueError, match=rf"row {self.WRONG} \(row {self.WRONG} of .*{part}"):
            select(pool, K, strategy=of, random_state=0)


class TestOptions:
    @pytest.mark.parametrize("of", [name for name in NAMES if name != "badge"])
    def test_what_badge_alone_takes(self, of, tmp_path):
        pool = pool_for(of)
        for option, value in (("progress", print), ("checkpoint", tmp_path / "c")):
            with pytest.raises(TypeError, match=rf"^{option} work.* with BADGE alone"):
                select(pool, 3, strategy=of, **{option: value})
        with pytest.raises(TypeError, match="condition_on_labeled is for BADGE; "):
            select(pool, 3, strategy=of, condition_on_labeled=True)

    def test_labelled_samples_as_centres(self):
        pool = Pool(**KNOWN)
        batch = select(pool, K, condition_on_labeled=True, random_state=3)
        strategy = Badge(condition_on_labeled=True, random_state=3)
        picks = strategy.query(X, Y, CLF, fit_clf=False, batch_size=K)
        assert batch.indices.tolist() == picks.tolist()
        assert select(pool, K, strategy=strategy).indices.tolist() == picks.tolist()
        assert select(pool, K, random_state=3).indices.tolist() != picks.tolist()
        with pytest.raises(TypeError, match="condition_on_labeled must be True or False"):
            select(pool, 3, condition_on_labeled=1)

    def test_ids_that_there_are_not(self):
        pool = Pool(**KNOWN, ids=[f"img{i}" for i in range(N)])
        with pytest.raises(ValueError, match=r"1 of 2 ids is not in the pool: 'img90'.*'img0'"):
            select(pool, 3, exclude_ids=["img3", "img90"])
        # Rows stand for ids where there are none.
        batch = select(POOL, K, exclude_ids=[4, 6], random_state=0)
        assert batch.indices.tolist() == (
            select(POOL, K, exclude=[4, 6], random_state=0).indices.tolist()
        )

    @pytest.mark.parametrize("kind", [list, set, tuple, dict.fromkeys, pd.Series, np.array, iter])
    def test_ids_in_any_container(self, kind):
        pool = Pool(**KNOWN, ids=[f"img{i}" for i in range(N)])
        batch = select(pool, K, exclude_ids=kind(["img6", "img4"]), random_state=0)
        expected = select(pool, K, exclude=[4, 6], random_state=0)
        assert batch.indices.tolist() == expected.indices.tolist()

    def test_groups_and_their_limit_go_together(self):
        with pytest.raises(ValueError, match=r"groups says which .*set max_per_group too"):
            select(POOL, 3, groups=GROUPS)
        with pytest.raises(ValueError, match="max_per_group=2 needs the group of each sample"):
            select(POOL, 3, max_per_group=2)
        with pytest.raises(ValueError, match="groups has 89 entries and the pool has 90 rows"):
            select(POOL, 3, groups=GROUPS[1:], max_per_group=2)
        # That the pool has groups asks for nothing.
        assert len(select(Pool(**KNOWN, groups=GROUPS), 3)) == 3
        # What the caller says wins over what the pool says.
        batch = select(
            Pool(**KNOWN, groups=np.zeros(N, dtype=int)), K, groups=GROUPS, max_per_group=1
        )
        assert len(set(GROUPS[batch.indices])) == K

    @pytest.mark.parametrize("strategy", ["max-herding", MaxHerding, MaxHerding(), "bait", "clue"])
    def test_no_bias_where_none_is_counted(self, strategy):
        pool = Pool(**KNOWN, bias=True)
        who = strategy if isinstance(strategy, str) else "MaxHerding"
        for call in ((pool, 3), (PROBA, X, 3)):
            known = {} if call[0] is pool else {"bias": True}
            with pytest.raises(TypeError, match=rf"^{who} looks at features without .*bias=False"):
                select(*call, strategy=strategy, **known)
        assert len(select(pool, 3, strategy=Badge(random_state=0))) == 3
        # Where no features are looked at, nothing hangs on it.
        assert len(select(pool, 3, strategy="uncertainty")) == 3

    def test_no_memory_limit_for_a_pool_in_memory(self, name):
        with pytest.raises(TypeError, match="memory_limit is for pools in files, and this one is"):
            select(pool_for(name), 3, strategy=name, memory_limit="1GB")

    @pytest.mark.parametrize("variable", ["LABELNEXT_NUM_THREADS", "OMP_NUM_THREADS"])
    def test_threads_that_are_no_number(self, name, monkeypatch, variable):
        monkeypatch.delenv("LABELNEXT_NUM_THREADS", raising=False)
        monkeypatch.setenv(variable, "abc")
        for ask in (lambda: select(pool_for(name), 3, strategy=name), lambda: query(name)):
            with pytest.raises(ValueError, match=rf"{variable} must be .*, got 'abc'; correct it"):
                ask()

    def test_a_batch_size_where_none_belongs(self, name):
        cls = strategies.find(name)
        if name in {"uncertainty", "power-margin", "clue", "uncertainty-herding"}:
            with pytest.raises(ValueError, match=r"method must be one of .*, got 200"):
                cls(200).query(X, Y, CLF)
        else:
            with pytest.raises(TypeError, match=rf"^{cls.__name__} takes .* by name, got 200 "):
                cls(200)

    @pytest.mark.parametrize("clf", [CLF, LogisticRegression, torch.nn.Linear(2, 2)])
    def test_a_classifier_where_candidates_belong(self, clf):
        for strategy in (MaxHerding(), strategies.by_name("random")):
            with pytest.raises(
                TypeError, match=rf"candidates must be .*to {type(strategy).__name__}"
            ):
                strategy.query(X, Y, candidates=clf)
        with pytest.raises(TypeError, match=r"a classifier is passed as clf=.* only if its query"):
            strategies.by_name("random").query(X, Y, clf)

    @pytest.mark.parametrize("limit", ["a lot", -1, 2.5])
    def test_a_memory_limit_that_is_none(self, name, limit):
        with pytest.raises((TypeError, ValueError), match=r"memory_limit.*got|is no amount"):
            select(pool_for(name), 3, strategy=name, memory_limit=limit)

    def test_nothing_is_left_to_choose(self, name):
        pool = pool_for(name, labels=TRUE)
        with pytest.raises(ValueError, match="k must be at most the number of candidates, 0, got"):
            select(pool, 1, strategy=name)


class TestFiles:
    @pytest.fixture(params=["folder", "npy"])
    def stored(self, request, tmp_path):
        if request.param == "folder":
            labelnext.write_pool(tmp_path / "pool", PROBA, X, rows_per_shard=13)
            return tmp_path / "pool", {}
        np.save(tmp_path / "proba.npy", PROBA)
        np.save(tmp_path / "features.npy", X)
        return None, {"proba": tmp_path / "proba.npy", "features": tmp_path / "features.npy"}

    @pytest.mark.parametrize("of", [n for n in NAMES if n not in (*COMMITTEES, "drop-query")])
    def test_the_same_batch(self, of, stored):
        path, parts = stored
        options = {"groups": GROUPS, "max_per_group": 2, "exclude": range(5)}
        expected = select(Pool(PROBA, X, labels=Y), K, strategy=of, random_state=3, **options)
        pool = labelnext.open_pool(path, **parts, labels=Y)
        batch = select(pool, K, strategy=of, random_state=3, memory_limit="100MB", **options)
        assert batch.indices.tolist() == expected.indices.tolist()
        if expected.scores is not None:
            np.testing.assert_allclose(batch.scores, expected.scores, rtol=1e-12)

    @pytest.mark.parametrize(
        ("of", "reads", "n_bytes"),
        [
            ("uncertainty", "probabilities", 8 * 3 * 90),
            ("max-herding", "features", 8 * 4 * 90),
            ("clue", "probabilities and features", 8 * 7 * 90),
            ("bait", "probabilities and features", 8 * 7 * 90),
        ],
    )
    def test_a_limit_that_is_too_small(self, of, reads, n_bytes, stored):
        path, parts = stored
        pool = labelnext.open_pool(path, **parts)
        with pytest.raises(ValueError, match=rf"reads the {reads} of all 90 candidates") as error:
            select(pool, K, strategy=of, memory_limit=n_bytes - 1)
        # What the message says is enough.
        needed = re.search(r"take (\S+), but", str(error.value))[1]
        assert len(select(pool, K, strategy=of, memory_limit=needed)) == K
        assert len(select(pool, K, strategy=of, memory_limit=n_bytes)) == K

    def test_fewer_candidates_take_less(self, stored):
        path, parts = stored
        pool = labelnext.open_pool(path, **parts)
        limit = 8 * 3 * 10
        with pytest.raises(ValueError, match="of all 90 candidates"):
            select(pool, K, strategy="uncertainty", memory_limit=limit)
        batch = select(pool, K, strategy="uncertainty", memory_limit=limit, exclude=range(80))
        assert batch.indices.min() >= 80

    def test_a_committee_counts_all_its_members(self):
        class Elsewhere(ArraySource):
            in_memory = False

        pool = Pool.of(Elsewhere(OPINIONS, None))
        needed = OPINIONS.nbytes
        for of in ("bald", "uncertainty"):
            with pytest.raises(ValueError, match="reads the probabilities of all 90"):
                select(pool, K, strategy=of, memory_limit=needed - 1)
            batch = select(pool, K, strategy=of, memory_limit=needed, random_state=0)
            expected = select(Pool(OPINIONS), K, strategy=of, random_state=0)
            assert batch.indices.tolist() == expected.indices.tolist()

    def test_core_set_reads_in_stretches(self, tmp_path):
        rng = np.random.default_rng(0)
        big = rng.normal(size=(60_000, 400)).astype(np.float32)
        np.save(tmp_path / "features.npy", big)
        pool = labelnext.open_pool(features=tmp_path / "features.npy")
        limit = 70_000_000
        assert limit < big.nbytes
        batch = select(pool, 20, strategy="core-set", random_state=0, memory_limit=limit)
        expected = select(Pool(features=big), 20, strategy="core-set", random_state=0)
        assert batch.indices.tolist() == expected.indices.tolist()
        with pytest.raises(ValueError, match=r"^max-herding reads the features of all 60,000"):
            select(pool, 20, strategy="max-herding", memory_limit=limit)
