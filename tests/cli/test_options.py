"""Whatever `labelnext.select` takes, the command takes: strategies, groups, labels, tasks, Ray."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clusters
import labelnext
from labelnext import strategies
from labelnext.cli._errors import in_our_words
from labelnext.pools import open_pool

FILES = ("-p", "probs.npy", "-f", "emb.npy")
CLASSES = ["cat", "dog", "cow"]


def rows(result):
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def picked(result):
    return [int(row["row"]) for row in rows(result)]


@pytest.fixture
def known(folder, arrays, ids):
    """Files with groups, of some samples the labels, and the names of classes."""
    groups = [f"p{row // 4}" for row in range(40)]
    labels = ["cat" if row % 9 == 0 else "" for row in range(40)]
    table = {"id": ids, "proba": arrays[0].tolist(), "embedding": arrays[1].tolist()}
    optional = [label or None for label in labels]
    pq.write_table(pa.table(table | {"patient": groups, "y": optional}), "known.parquet")
    np.save("groups.npy", np.repeat(np.arange(10), 4))
    (folder / "groups.txt").write_text("\n".join(groups))
    (folder / "labels.csv").write_text(
        "id,label\n" + "".join(f"{name},{label}\n" for name, label in zip(ids, labels, strict=True))
    )
    (folder / "names.txt").write_text("\n".join(CLASSES))
    return labelnext.Pool(*arrays, ids=ids, groups=groups, labels=optional, classes=CLASSES)


class TestStrategies:
    @pytest.mark.parametrize("source", [("emb.npy",), ("-f", "emb.npy"), ("features.npz",)])
    def test_cold_start_from_features_alone(self, folder, run, arrays, source):
        np.savez("features.npz", features=arrays[1])
        pool = labelnext.Pool(features=arrays[1])
        expected = labelnext.select(pool, 6, strategy="typi-clust", random_state=0)
        batch = rows(run("select", *source, "-k", 6, "--strategy", "typi-clust"))
        assert [int(row["row"]) for row in batch] == expected.indices.tolist()
        assert [float(row["score"]) for row in batch] == expected.scores.tolist()
        assert list(batch[0]) == ["rank", "row", "id", "score"]

    def test_all_of_them_have_the_batch_of_the_library(self, folder, run, arrays):
        able = [a.name for a in strategies.about() if {*a.needs} <= {"proba", "features"}]
        assert len(able) > 10
        pool = labelnext.Pool(*arrays)
        for name in able:
            expected = labelnext.select(pool, 5, strategy=name, random_state=3).indices.tolist()
            found = picked(run("select", *FILES, "-k", 5, "--strategy", name, "--seed", 3))
            assert found == expected, name

    def test_committees(self, folder, run, arrays):
        proba = np.random.default_rng(5).dirichlet(np.ones(3), (4, 40))
        np.save("members.npy", proba)
        pool = labelnext.Pool(proba)
        expected = labelnext.select(pool, 5, strategy="bald", random_state=0).indices.tolist()
        assert picked(run("select", "-p", "members.npy", "-k", 5, "--strategy", "bald")) == expected
        expected = labelnext.select(proba, arrays[1], 5, random_state=0).indices.tolist()
        assert picked(run("select", "-p", "members.npy", "-f", "emb.npy", "-k", 5)) == expected

    def test_badge_by_any_of_its_names(self, folder, run):
        plain = rows(run("select", *FILES, "-k", 5))
        assert rows(run("select", *FILES, "-k", 5, "--strategy", "Badge")) == plain
        result = run("select", *FILES, "-k", 5, "--strategy", "BADGE", "--checkpoint", "a.ckpt")
        assert rows(result) == plain

    def test_short_names_of_uncertainty(self, folder, run, arrays):
        methods = {
            "margin": "margin_sampling",
            "entropy": "entropy",
            "least-confident": "least_confident",
        }
        batches = set()
        for short, method in methods.items():
            strategy = strategies.UncertaintySampling(method=method)
            expected = labelnext.select(*arrays, 8, strategy=strategy, random_state=0)
            named = labelnext.select(*arrays, 8, strategy=short, random_state=0)
            result = run("select", *FILES, "-k", 8, "--strategy", short)
            assert picked(result) == named.indices.tolist() == expected.indices.tolist()
            batches.add(tuple(picked(result)))
        assert len(batches) == 3

    def test_the_table_for_programs(self, run):
        lines = run("strategies").stdout.splitlines()
        assert [line.split()[0] for line in lines] == strategies.names()
        for line, about in zip(lines, strategies.about(), strict=True):
            assert line.split("  ")[0] == about.name
            assert f"  {about.summary}" in line
            assert line.endswith(about.paper)
        assert "needs" not in lines[0]
        (badge, *_) = json.loads(run("strategies", "--json").stdout)
        assert badge == json.loads(json.dumps(strategies.about()[0]._asdict()))

    def test_the_table_for_people(self, run, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "200")
        text = run("strategies").stdout
        for words in ("needs", "paper", "typi-clust", "ICML 2022", "nothing"):
            assert words in text

    def test_a_terminal_gets_a_summary(self, folder, run, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        result = run("select", "emb.npy", "-k", 9, "--strategy", "max-herding", "-o", "b.csv")
        for words in ("9 of 40 candidates chosen", "score", "Choosing by max-herding", "b.csv"):
            assert words in result.stderr
        assert "Potential" not in result.stderr

    def test_plot_without_potential(self, folder, run):
        result = run("select", "emb.npy", "-k", 9, "--strategy", "k-means", "--plot", "b.png")
        assert result.exit_code == 0, result.output
        assert (folder / "b.png").read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("emb.npy",), "needs probabilities; this pool has features only: give --proba SOURCE"),
            (
                ("-p", "probs.npy", "--strategy", "typi-clust"),
                "needs features; this pool has probabilities only: give --features SOURCE",
            ),
            ((*FILES, "--strategy", "bald"), "give --proba SOURCE of shape (n_members, n_rows"),
            ((*FILES, "--strategy", "drop-query"), "give a pool folder that has it, or choose in"),
            ((*FILES, "--strategy", "max-hearding"), "did you mean 'max-herding'?"),
            (
                (*FILES, "--strategy", "random", "--checkpoint", "a.ckpt"),
                "--checkpoint is for BADGE alone; leave it out, or leave out --strategy random",
            ),
            (
                (*FILES, "--strategy", "random", "--engine", "ray"),
                "--engine ray is for BADGE alone; leave it out, or leave out --strategy random",
            ),
            (
                (*FILES, "--strategy", "random", "--condition-on-labeled"),
                "--condition-on-labeled is for BADGE alone; leave it out, or leave out --strategy",
            ),
            (
                ("-p", "probs.npy", "--strategy", "uncertainty", "--plot", "b.png"),
                "--plot draws the pool by its features; give --features",
            ),
        ],
        ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
    )
    def test_mistakes(self, folder, complaint, arguments, words):
        assert words in complaint("select", *arguments, "-k", 3)


class TestWhatIsKnown:
    @pytest.mark.parametrize("groups", ["patient", "groups.txt", "groups.npy"])
    @pytest.mark.parametrize("strategy", ["badge", "max-herding", "typi-clust"])
    def test_max_per_group(self, known, run, groups, strategy):
        options = ("--groups", groups, "--max-per-group", 1, "--strategy", strategy)
        batch = rows(run("select", "known.parquet", "-k", 10, *options))
        expected = labelnext.select(
            labelnext.Pool.of(known, labels=[None] * 40),
            10,
            strategy=strategy,
            max_per_group=1,
            random_state=0,
        )
        assert [int(row["row"]) for row in batch] == expected.indices.tolist()
        prefix = "" if groups == "groups.npy" else "p"
        assert [row["group"] for row in batch] == [f"{prefix}{int(r['row']) // 4}" for r in batch]
        assert len({row["group"] for row in batch}) == 10

    @pytest.mark.parametrize("labels", ["y", "labels.csv"])
    def test_labels_and_class_names(self, known, run, labels):
        options = ("--labels", labels, "--classes", "cat, dog,cow")
        batch = rows(run("select", "known.parquet", *options, "-k", 35))
        expected = labelnext.select(known, 35, random_state=0)
        assert [int(row["row"]) for row in batch] == expected.indices.tolist()
        assert not {int(row["row"]) for row in batch} & {*range(0, 40, 9)}
        assert [row["pseudo_label"] for row in batch] == [pick.pseudo_label for pick in expected]
        conditioned = rows(
            run("select", "known.parquet", *options, "-k", 35, "--condition-on-labeled")
        )
        expected = labelnext.select(known, 35, condition_on_labeled=True, random_state=0)
        assert [int(row["row"]) for row in conditioned] == expected.indices.tolist()
        assert conditioned != batch

    def test_class_names_of_a_file(self, known, run):
        named = rows(run("select", "known.parquet", "--classes", "names.txt", "-k", 5))
        plain = rows(run("select", "known.parquet", "-k", 5))
        assert [row["pseudo_label"] for row in named] == [
            CLASSES[int(row["pseudo_label"])] for row in plain
        ]

    def test_classes_that_are_numbers(self, known, folder, run, complaint):
        (folder / "labels.txt").write_text("\n".join(["10", *[""] * 38, "30"]))
        options = ("--labels", "labels.txt", "--classes", "10,20,30")
        batch = json.loads(
            _json(run, "select", "known.parquet", *options, "-k", 38, "-o", "b.json")
        )
        assert {row["pseudo_label"] for row in batch} == {10, 20, 30}
        (folder / "labels.txt").write_text("\n".join(["10", *[""] * 38, "3"]))
        assert "are not among the classes: 3" in complaint(
            "select", "known.parquet", *options, "-k", 38
        )

    def test_several_labels_in_one_cell(self, folder, run, arrays):
        proba = np.random.default_rng(1).random((40, 3))
        np.save("multi.npy", proba)
        options = ("-p", "multi.npy", "-f", "emb.npy", "--task", "multilabel", "-k", 8)
        expected = labelnext.select(proba, arrays[1], 8, task="multilabel", random_state=0)
        named = ("--classes", "a,b,c")
        text = run("select", *options, *named).stdout
        assert picked(run("select", *options, *named)) == expected.indices.tolist()
        assert run("select", *options, *named, "-o", "b.csv").exit_code == 0
        assert (folder / "b.csv").read_text() == text
        batch = json.loads(_json(run, "select", *options, *named, "-o", "b.json"))
        expected = [
            [n for n, p in zip("abc", proba[r["row"]], strict=True) if p >= 0.5] for r in batch
        ]
        assert [row["pseudo_label"] for row in batch] == expected
        assert any(len(row["pseudo_label"]) > 1 for row in batch)

    @pytest.mark.parametrize("task", ["regression", "vectors"])
    def test_features_that_are_gradients(self, folder, run, arrays, task):
        pool = labelnext.Pool(features=arrays[1], task=task)
        expected = labelnext.select(pool, 8, random_state=0).indices.tolist()
        assert picked(run("select", "emb.npy", "--task", task, "-k", 8)) == expected

    def test_columns_first(self, folder, run, arrays):
        # As a binary model of scikit-learn gives them.
        expected = rows(run("select", *FILES, "-k", 8))
        np.save("probs.npy", np.asfortranarray(arrays[0]))
        np.save("emb.npy", np.asfortranarray(arrays[1]))
        assert rows(run("select", *FILES, "-k", 8)) == expected
        named = rows(run("select", "emb.npy", "-p", "pool.npz", "-k", 8))  # which has ids
        assert [row["id"] for row in named] == [f"img-{int(row['row']):03}" for row in expected]
        assert [{**row, "id": row["row"]} for row in named] == expected

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--max-per-group", 1), "needs the group of each sample; give --groups SOURCE too"),
            (("--groups", "patient", "--max-per-group", 0), "--max-per-group must be"),
            (
                ("--groups", "patient", "--max-per-group", 1, "-k", 11),
                "-k must be at most what --max-per-group 1 leaves of the candidates, 10, got 11; "
                "choose a smaller -k",
            ),
            (("--groups", "pateint"), "has no 'pateint'; it has id, proba, embedding, patient, y"),
            (("--groups", "y"), "every sample must have a group"),
            (("--labels", "y", "--classes", "cow,dog,hen"), "not among the classes: 'cat'"),
            (("--classes", "cat,dog"), "classes has 2 names and there must be 3"),
            (("--classes", "cat,dog,cat"), "classes"),
            (("--classes", "gone.txt"), "gone.txt; check the path"),
            (("--condition-on-labeled",), "the pool has no labels; give --labels SOURCE"),
            (("--task", "binary"), "With --task binary proba"),
            (("--task", "multiclas"), "'--task'"),
            (("--task", "regression", "-p", "proba"), "leave --proba out"),
            (("--labels", "y", "-k", 36), "only 35 samples are left to choose from (40 in the poo"),
            (("--labels", "y", "-k", 36), "0 excluded, 5 labelled); ask for at most 35"),
            (("--labels", "y", "-x", "ids.txt"), "nothing is left to choose from (40 in the pool"),
        ],
        ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
    )
    def test_mistakes(self, known, complaint, arguments, words):
        options = arguments if "-k" in arguments else (*arguments, "-k", 3)
        assert words in complaint("select", "known.parquet", *options)


def _json(run, *arguments):
    result = run(*arguments, "--force")
    assert result.exit_code == 0, result.output
    with open(arguments[arguments.index("-o") + 1]) as file:
        return file.read()


class TestWhatTheCallerSaysWins:
    @pytest.fixture
    def pool(self, folder, run, arrays):
        """A pool folder that says that it has a bias, and is of several labels."""
        np.save("multi.npy", arrays[0])
        options = ("--bias", "--task", "multilabel", "--rows-per-shard", 15)
        assert run("convert", "multi.npy", "emb.npy", "pool", *options).exit_code == 0
        return folder / "pool"

    @pytest.mark.parametrize("bias", [None, True, False])
    @pytest.mark.parametrize("task", [None, "multiclass", "multilabel"])
    def test_over_the_folder(self, pool, run, arrays, bias, task):
        said = () if bias is None else ("--bias",) if bias else ("--no-bias",)
        said += () if task is None else ("--task", task)
        expected = labelnext.select(
            *arrays,
            20,
            bias=True if bias is None else bias,
            task=task or "multilabel",
            random_state=0,
        )
        assert picked(run("select", "pool", "-k", 20, *said)) == expected.indices.tolist()

    def test_a_bias_that_is_not_counted(self, pool, run):
        asked = ("select", "pool", "-k", 5, "--strategy", "core-set", "--task", "multiclass")
        refused = run(*asked)
        assert refused.exit_code != 0
        for words in ("core-set looks at features without", "give --no-bias"):
            assert words in " ".join(refused.stderr.split())
        assert len(picked(run(*asked, "--no-bias"))) == 5

    def test_over_the_folders_ids_groups_labels_and_classes(self, known, run):
        options = ("--groups", "patient", "--labels", "y", "--classes", "cat,dog,cow")
        assert run("convert", "known.parquet", "made", *options).exit_code == 0
        np.save("other.npy", np.arange(40) * 2)
        said = ("--ids", "other.npy", "--groups", "groups.npy", "--classes", "cat,2,3")
        batch = rows(run("select", "made", "-k", 35, *said))
        assert all(int(row["id"]) == 2 * int(row["row"]) for row in batch)
        assert all(int(row["group"]) == int(row["row"]) // 4 for row in batch)
        assert {row["pseudo_label"] for row in batch} == {"cat", "2", "3"}


class TestConvert:
    def test_all_that_is_known_goes_along(self, known, run, arrays):
        options = ("--groups", "patient", "--labels", "y", "--classes", "names.txt", "--bias")
        result = run("convert", "known.parquet", "made", *options, "--rows-per-shard", 7)
        assert (result.exit_code, result.output) == (0, "")
        made = open_pool("made")
        assert made.ids.tolist() == known.ids.tolist()
        assert made.groups.tolist() == known.groups.tolist()
        assert made.labels.tolist() == known.labels.tolist()
        assert made.classes.tolist() == CLASSES
        assert made.bias is True
        assert np.array_equal(made.read("proba"), arrays[0])
        batch = rows(run("select", "made", "-k", 5, "--no-bias", "--max-per-group", 1))
        expected = labelnext.select(known, 5, max_per_group=1, random_state=0)
        assert [row["id"] for row in batch] == expected.ids.tolist()
        # And once more, from the folder.
        assert run("convert", "made", "again").exit_code == 0
        again = open_pool("again")
        for what in ("ids", "groups", "labels", "classes"):
            assert getattr(again, what).tolist() == getattr(made, what).tolist()

    @pytest.mark.parametrize("sources", [("emb.npy",), ("-f", "emb.npy"), ("-p", "probs.npy")])
    def test_one_part_alone(self, folder, run, arrays, sources):
        at = 0 if sources[0].startswith("-") else 1
        result = run("convert", *sources[:at], "made", *sources[at:], "--ids", "ids.txt")
        assert result.exit_code == 0, result.output
        made = open_pool("made")
        part = "proba" if "-p" in sources else "features"
        assert made.source.parts == (part,)
        assert np.array_equal(made.read(part), arrays[part == "features"])
        assert made.ids_of([3]).tolist() == ["img-003"]

    def test_what_a_folder_cannot_hold_leaves_nothing(self, folder, complaint, arrays):
        np.save("members.npy", np.stack([arrays[0]] * 2))
        words = complaint("convert", "members.npy", "emb.npy", "made")
        assert "holds the probabilities of one model" in words
        assert not (folder / "made").exists()

    def test_other_sources_are_not_gone_on_with(self, known, run, complaint, monkeypatch):
        assert run("convert", "known.parquet", "made", "--rows-per-shard", 7).exit_code == 0
        words = complaint(
            "convert", "known.parquet", "made", "--rows-per-shard", 7, "--resume", "--bias"
        )
        assert "was begun with" in words


class TestExclude:
    """Without ids in the pool, only what says that it is rows is taken for rows."""

    @pytest.fixture
    def export(self, folder):
        """What labelling tools write: numbers of their own."""
        (folder / "export.json").write_text(json.dumps([{"id": 3, "label": "cat"}, {"id": 7}]))
        (folder / "export.csv").write_text("id,label\n3,cat\n7,dog\n")
        (folder / "export.jsonl").write_text('{"id": 3}\n{"id": 7}\n')
        (folder / "plain.json").write_text("[3, 7]")
        (folder / "plain.txt").write_text("3\n7\n")
        np.save("plain.npy", [3, 7])
        pq.write_table(pa.table({"id": [3, 7]}), "export.parquet")
        return folder

    @pytest.mark.parametrize(
        "name",
        [
            "export.json",
            "export.csv",
            "export.jsonl",
            "export.parquet",
            "export.json:id",
            "plain.json",
            "plain.txt",
            "plain.npy",
        ],
    )
    def test_a_tools_own_numbers_are_no_rows(self, export, complaint, name):
        words = complaint("select", *FILES, "-k", 3, "-x", name)
        assert f"--exclude {name}: this pool has no ids, so it is not known what these" in words
        assert "give the pool's with --ids, or list rows" in words

    @pytest.mark.parametrize("name", ["plain.json:row", "plain.txt:row", "plain.npy:row"])
    @pytest.mark.parametrize("source", [FILES, ("pool.parquet",)])
    def test_rows_that_say_so(self, export, run, arrays, name, source):
        expected = labelnext.select(*arrays, 38, exclude=[3, 7], random_state=0)
        assert picked(run("select", *source, "-k", 38, "-x", name)) == expected.indices.tolist()

    @pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
    def test_a_batch_says_so(self, folder, run, ending):
        first = picked(run("select", *FILES, "-k", 10))
        assert run("select", *FILES, "-k", 10, "-o", f"b.{ending}").exit_code == 0
        for name in (f"b.{ending}", f"b.{ending}:row"):
            rest = picked(run("select", *FILES, "-k", 30, "-x", name))
            assert {*first, *rest} == {*range(40)}

    @pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
    def test_a_batch_with_ids_needs_the_ids_of_the_pool(self, folder, run, complaint, ending):
        first = picked(run("select", "pool.parquet", "-k", 10))
        assert run("select", "pool.parquet", "-k", 10, "-o", f"b.{ending}").exit_code == 0
        words = complaint("select", *FILES, "-k", 30, "-x", f"b.{ending}")
        assert "this pool has no ids" in words
        assert "--exclude FILE:row" in words
        for more in (["-x", f"b.{ending}", "--ids", "ids.txt"], ["-x", f"b.{ending}:row"]):
            rest = picked(run("select", *FILES, "-k", 30, *more))
            assert {*first, *rest} == {*range(40)}

    def test_with_ids_they_are_ids(self, export, run, arrays):
        np.save("ids.npy", np.arange(40) + 1)
        expected = labelnext.select(*arrays, 38, exclude=[2, 6], random_state=0).indices.tolist()
        for name in ("export.json", "export.csv", "export.parquet", "plain.txt", "plain.npy"):
            result = run("select", *FILES, "--ids", "ids.npy", "-k", 38, "-x", name)
            assert picked(result) == expected

    @pytest.mark.parametrize("has_ids", [True, False])
    @pytest.mark.parametrize("source", ["", "none.txt", "batch", ":row", "ids.txt:x", "a\0b"])
    def test_what_cannot_be_read_is_called_by_its_option(self, folder, complaint, has_ids, source):
        (folder / "ids.txt").write_text("".join(f"s{i}\n" for i in range(40)))
        given = ["--ids", "ids.txt"] if has_ids else []
        said = complaint("select", "pool.npz", "-k", 2, "-x", source, *given)
        assert "--ids" not in said or "give the pool's with --ids" in said, said
        assert "ids must" not in said

    def test_an_empty_list_excludes_nothing(self, folder, run):
        (folder / "none.txt").write_text("")
        all_of_them = run("select", "pool.parquet", "-k", 40, "-x", "none.txt")
        assert len(picked(all_of_them)) == 40

    @pytest.mark.parametrize(
        ("content", "words"),
        [("40\n", "rows must be from 0 to 39, got '40'"), ("-1\n", "got '-1'"), ("a\n", "got 'a'")],
    )
    def test_rows_that_are_none(self, folder, complaint, content, words):
        (folder / "rows.txt").write_text(content)
        assert words in complaint("select", *FILES, "-k", 3, "-x", "rows.txt:row")


@pytest.mark.slow
class TestRay:
    pytestmark = pytest.mark.xdist_group("ray")

    def test_bias_and_task_are_the_callers_there_too(self, folder, run, arrays):
        # The folder says neither, which once won on Ray alone.
        assert run("convert", *FILES[1::2], "pool", "--rows-per-shard", 15).exit_code == 0
        options = ("-k", 20, "--bias", "--task", "multilabel")
        here = rows(run("select", "pool", *options))
        expected = labelnext.select(*arrays, 20, bias=True, task="multilabel", random_state=0)
        assert [int(row["row"]) for row in here] == expected.indices.tolist()
        assert here != rows(run("select", "pool", "-k", 20))
        with clusters.started():
            there = run("select", "pool", *options, "--engine", "ray", "--num-shards", 2)
        for one, other in zip(here, rows(there), strict=True):
            assert (one["row"], one["pseudo_label"]) == (other["row"], other["pseudo_label"])
            assert float(one["potential"]) == pytest.approx(float(other["potential"]))

    @pytest.mark.parametrize(
        "option",
        [
            ("--address", "auto"),
            ("--num-shards", 2),
            ("--num-cpus", 1),
            ("--num-gpus", 1),
            ("--timeout", 5),
        ],
    )
    def test_its_options_are_its_own(self, folder, complaint, option):
        words = complaint("select", *FILES, "-k", 3, *option)
        assert f"{option[0]} is for a Ray cluster; add --engine ray, or leave it out" in words

    @pytest.mark.parametrize(
        ("option", "words"),
        [
            (("--num-shards", 0), "--num-shards must be at least 1, got 0"),
            (("--num-cpus", -1), "--num-cpus must be finite and at least 0, got -1"),
            (("--timeout", 0), "timeout must be over 0"),
            (("--engine", "dask"), "'--engine'"),
        ],
    )
    def test_mistakes(self, folder, complaint, option, words):
        assert words in complaint("select", *FILES, "-k", 3, "--engine", "ray", *option)

    def test_the_options_reach_the_cluster(self, folder, run, monkeypatch):
        seen, inner = [], labelnext.select

        def select(*arguments, cluster, **options):
            seen.append(cluster)
            return inner(*arguments, **options)

        monkeypatch.setattr(labelnext, "select", select)
        options = ("--num-shards", 2, "--num-cpus", 0.5, "--num-gpus", 1, "--timeout", 7)
        run("select", *FILES, "-k", 3, "--engine", "ray", "--address", "local", *options)
        run("select", *FILES, "-k", 3, "--engine", "ray")
        run("select", *FILES, "-k", 3)
        assert seen == [labelnext.Ray("local", 2, 0.5, 1, timeout=7), labelnext.Ray(), None]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("With task='multilabel' proba must be.", "With --task multilabel proba must be"),
        ("name it with features=....", "name it with --features SOURCE"),
        ("pass them: Pool(features=..., task='vectors').",
         "pass them: --features SOURCE --task vectors"),
        ("memory_limit is 1kB; set max_per_group too.",
         "--memory-limit is 1kB; set --max-per-group too"),
        ("choose strategy='badge'", "choose --strategy badge"),
        ("replace it with overwrite=True.", "replace it with --force"),
        ("go on with resume=True.", "go on with --resume"),
        ("by labelnext.extract(..., resume=True)", "by labelnext.extract(..., resume=True)"),
        ("'no_proba=1' and my_task=3 stay", "'no_proba=1' and my_task=3 stay"),
        ("of another random_state", "of another --seed"),
        ("for ids there is exclude_ids.", "for ids there is --exclude"),
        ("k must be at most 3; a smaller k.", "-k must be at most 3; a smaller -k"),
        ("cluster=labelnext.Ray() needs ray", "--engine ray needs ray"),
    ],
)  # fmt: skip
def test_the_library_in_the_commands_words(message, words):
    assert in_our_words(ValueError(message)) == words


@pytest.mark.parametrize(
    ("option", "name"),
    [("-o", "known.parquet"), ("-o", "batch.csv"), ("--plot", "known.png"), ("--checkpoint", "c")],
)
def test_nothing_is_written_over_what_is_read(run, known, folder, option, name):
    for other in ("batch.csv", "known.png", "c"):
        (folder / other).write_text("id\n")
    before = (folder / name).read_bytes()
    inputs = ["known.parquet", "-k", 2, "--force", "-x", "batch.csv", "--ids", "known.parquet:id"]
    if name in ("known.png", "c"):
        inputs += ["--groups", name]
    result = run("select", *inputs, option, name)
    assert result.exit_code == 2
    assert "is read from there" in " ".join(result.output.split())
    assert (folder / name).read_bytes() == before
