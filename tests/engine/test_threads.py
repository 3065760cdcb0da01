"""The one setting for threads, and life beside other libraries' workers."""

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky import get_reusable_executor
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

import pools
from labelnext import select
from labelnext.engine import threads as _threads
from labelnext.engine.threads import SPAN, blas_on_one_thread, for_each_span, n_threads

POOL = pools.confident(9000, n_features=16)


@pytest.fixture
def no_setting(monkeypatch):
    monkeypatch.delenv("LABELNEXT_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return monkeypatch


def rows_of(seed):
    return select(*POOL, 100, random_state=seed).indices.tolist()


class TestSetting:
    def test_without_one_all_cores_that_we_may_use(self, no_setting):
        assert n_threads() == cpu_count()

    @pytest.mark.parametrize(
        ("files", "cores"),
        [
            ({"cpu.max": "150000 100000\n"}, 2),
            ({"cpu.max": "50000 100000\n"}, 1),
            ({"cpu.max": "max 100000\n"}, 4),
            ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
            ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
            ({}, 4),
        ],
    )
    def test_a_container_has_a_share(self, no_setting, tmp_path, files, cores):
        (tmp_path / "cpu").mkdir()
        for name, said in files.items():
            (tmp_path / name).write_text(said)
        no_setting.setattr(_threads, "GROUP", tmp_path)
        no_setting.setattr(os, "sched_getaffinity", lambda pid: range(4), raising=False)
        assert n_threads() == cores

    def test_ours_comes_before_openmps(self, no_setting):
        no_setting.setenv("OMP_NUM_THREADS", "3")
        assert n_threads() == 3
        no_setting.setenv("LABELNEXT_NUM_THREADS", " 7 ")
        assert n_threads() == 7

    def test_openmps_levels(self, no_setting):
        no_setting.setenv("OMP_NUM_THREADS", "4,2")
        assert n_threads() == 4

    def test_empty_is_not_set(self, no_setting):
        no_setting.setenv("LABELNEXT_NUM_THREADS", "")
        no_setting.setenv("OMP_NUM_THREADS", "2")
        assert n_threads() == 2

    @pytest.mark.parametrize("name", ["LABELNEXT_NUM_THREADS", "OMP_NUM_THREADS"])
    @pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
    def test_a_bad_value_names_the_variable(self, no_setting, name, value):
        no_setting.setenv(name, value)
        with pytest.raises(ValueError, match=rf"{name} must be a whole number.*got '{value}'"):
            n_threads()
        with pytest.raises(ValueError, match=name):
            select(*POOL, 2)


class TestSpans:
    @pytest.mark.parametrize("threads", [1, 2, 5])
    @pytest.mark.parametrize("n_rows", [0, 1, SPAN, SPAN + 1, 20 * SPAN - 1])
    def test_each_comes_once(self, no_setting, threads, n_rows):
        no_setting.setenv("LABELNEXT_NUM_THREADS", str(threads))
        seen = []
        for_each_span(seen.append, n_rows)
        assert sorted(seen) == list(range(-(-n_rows // SPAN)))

    @pytest.mark.parametrize("threads", [1, 2, 5])
    def test_on_as_many_threads_as_allowed_with_blas_held_back(self, no_setting, threads):
        no_setting.setenv("LABELNEXT_NUM_THREADS", str(threads))
        together = threading.Barrier(threads, timeout=30)
        seen, blas = set(), set()

        def work(span):
            # Nobody goes on until all threads have a span.
            if span < threads:
                together.wait()
            seen.add(threading.get_ident())
            blas.update(i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas")

        for_each_span(work, 8 * SPAN)
        assert len(seen) == threads
        assert blas <= {1}

    def test_no_thread_is_left_behind(self, no_setting):
        no_setting.setenv("LABELNEXT_NUM_THREADS", "3")
        before = threading.active_count()
        for_each_span(lambda span: None, 8 * SPAN)
        assert threading.active_count() == before

    @pytest.mark.parametrize("threads", [1, 2, 5])
    def test_the_error_is_that_of_the_first_bad_span(self, no_setting, threads):
        no_setting.setenv("LABELNEXT_NUM_THREADS", str(threads))
        later_failed = threading.Event()

        def work(span):
            if span == 3 and threads > 1:
                # Slower than the others, and still the one to be reported.
                later_failed.wait(5)
            if span >= 3:
                later_failed.set()
                raise ValueError(f"span {span}")

        for _ in range(5):
            with pytest.raises(ValueError, match="span 3"):
                for_each_span(work, 12 * SPAN)

    def test_the_first_of_several_bad_rows_is_reported(self, no_setting):
        no_setting.setenv("LABELNEXT_NUM_THREADS", "4")
        features = POOL[1].copy()
        features[[1234, 5000, 8999], [3, 2, 1]] = np.nan
        for _ in range(10):
            with pytest.raises(ValueError, match="row 1234, column 3"):
                select(POOL[0], features, 3)


class TestBlas:
    """BLAS is held to one thread while any of our threads asks for it, and no longer."""

    def threads(self):
        return {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}

    @pytest.fixture(autouse=True)
    def _several(self):
        with threadpool_limits(3, user_api="blas"):
            # As if another thread had set it that is gone: else none but this one may.
            for library in ThreadpoolController().lib_controllers:
                getattr(library, "clear_controlling_thread", int)()
            yield

    def test_one_after_the_other_and_one_in_the_other(self):
        before = self.threads()
        with blas_on_one_thread():
            with blas_on_one_thread():
                assert self.threads() == {1}
            assert self.threads() == {1}
        assert self.threads() == before == {3}

    def test_of_two_selections_side_by_side_the_last_gives_it_back(self):
        first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
        seen = []

        def first():
            with blas_on_one_thread():
                first_is_in.set()
                second_is_in.wait(30)
            first_is_out.set()

        def second():
            first_is_in.wait(30)
            with blas_on_one_thread():
                second_is_in.set()
                first_is_out.wait(30)
                seen.append(self.threads())

        threads = [threading.Thread(target=work) for work in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [{1}]
        assert self.threads() == {3}

    def test_selections_in_many_threads_leave_it_as_it_was(self, no_setting):
        no_setting.setenv("LABELNEXT_NUM_THREADS", "2")
        with ThreadPoolExecutor(4) as pool:
            batches = list(pool.map(rows_of, [1] * 8))
        assert batches == [rows_of(1)] * 8
        assert self.threads() == {3}


# Python 3.12 and later warn of any fork beside threads, such as those of the test runner.
@pytest.mark.filterwarnings("ignore:This process .*multi-threaded:DeprecationWarning")
class TestWorkers:
    @pytest.fixture(autouse=True)
    def _two_threads(self, no_setting):
        no_setting.setenv("LABELNEXT_NUM_THREADS", "2")

    @pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
    def test_inside_joblib(self, backend):
        expected = [rows_of(seed) for seed in range(3)]
        with Parallel(n_jobs=2, backend=backend) as parallel:
            assert parallel(delayed(rows_of)(seed) for seed in range(3)) == expected

    def test_a_worker_of_joblib_does_not_oversubscribe(self, no_setting):
        no_setting.delenv("LABELNEXT_NUM_THREADS")
        # Workers of an earlier test would have the environment of then.
        get_reusable_executor().shutdown(wait=True)
        with Parallel(n_jobs=cpu_count(), backend="loky") as parallel:
            assert parallel(delayed(n_threads)() for _ in range(2)) == [1, 1]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    def test_after_a_fork(self):
        expected = rows_of(5)
        _threads._blas()
        with multiprocessing.get_context("fork").Pool(2) as workers:
            assert workers.map_async(rows_of, [5, 5, 5]).get(timeout=60) == [expected] * 3
