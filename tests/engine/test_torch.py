"""Pools of tensors: the bounds of their products, short memory, and what the user has set.

That they are the oracle's and NumPy's is tested with all places that pools live in; see `pools`.
"""

import warnings

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

import oracle
import pools
from adversarial import tight_bounds
from labelnext import select
from labelnext.engine import _torch, _torch_pass, _torch_rows, as_gradients
from labelnext.engine._torch import TorchGradients
from labelnext.engine._torch_rows import room
from labelnext.pools import check
from labelnext.sampling import d2_sample
from labelnext.utils.libraries import set_by_library
from labelnext.utils.memory import is_out_of_memory

by_library = pytest.mark.skipif(
    not set_by_library(), reason="no library torch-2.9: pip install 'torch>=2.9'"
)
NONE = np.empty(0, dtype=np.int64)
POOL = pools.confident(700, n_classes=5, n_features=12, seed=9)


def tensors(dtype=torch.float32, pool=POOL):
    return tuple(torch.tensor(x, dtype=dtype) for x in pool)


def batch_of(k=100, pool=None, **arguments):
    pool = pool or TorchGradients(*tensors(), bias=False, **arguments)
    return pools.choose(pool, k, random_state=3)


@pytest.fixture(scope="module", name="batch")
def _batch():
    return select(*(x.numpy() for x in tensors()), 100, random_state=3)


def same(batch, other):
    np.testing.assert_array_equal(batch.indices, other.indices)
    np.testing.assert_allclose(batch.d2, other.d2, rtol=1e-9)
    np.testing.assert_allclose(batch.potentials, other.potentials, rtol=1e-11)


class TestBounds:
    """An approximate product never rules out a pair that would have lowered D²."""

    @pytest.mark.one_of(2)
    @pytest.mark.parametrize("task", ["multiclass", "multilabel"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("seed", range(40))
    def test_on_adversarial_pools(self, seed, dtype, task):
        proba, features = tensors(dtype, tight_bounds(seed))
        order = np.random.default_rng(seed).permutation(300)
        blocks = [order[:1], order[1:130], order[130:280]]
        states, potentials = [], []
        for pool in (
            TorchGradients(proba, features, bias=seed % 2 == 1, task=task),
            pools.plain(proba.numpy(), features.numpy(), bias=seed % 2 == 1, task=task),
        ):
            state = pool.start(NONE)
            potentials.append([state.min_update(pool.gather(b), b).potentials for b in blocks])
            states.append(state.values)
        squares = np.asarray(pool.squared_norms)
        np.testing.assert_allclose(*states, rtol=1e-6, atol=1e-13 * squares.max())
        assert (np.abs(states[0] - states[1]) <= 2e-13 * (squares + squares.max())).all()
        for tensor, plain in zip(*potentials, strict=True):
            np.testing.assert_allclose(tensor, plain, rtol=1e-9, atol=1e-12 * squares.sum())

    @pytest.mark.parametrize("size", [1e-4, 1e-7, 1e-11])
    def test_near_duplicates_keep_their_digits(self, size):
        proba, features = pools.confident(20, 3, 6)
        features = np.concatenate([features, features])
        features[20:] *= 1 + size * np.random.default_rng(0).normal(size=(20, 6))
        proba = np.concatenate([proba, proba])
        pool = TorchGradients(*tensors(torch.float64, (proba, features)), bias=True)
        state, rows = pool.start(NONE), np.arange(20)
        state.min_update(pool.gather(rows), rows)
        exact = [
            float(oracle.exact_squared_distance(proba, features, i, i + 20, bias=True))
            for i in range(20)
        ]
        np.testing.assert_allclose(state.values[20:], exact, rtol=1e-8)
        twins = pool.gather(rows + 20)
        among = pool.gather(rows).squared_distances(twins)
        np.testing.assert_allclose(among.diagonal(), exact, rtol=1e-8)
        d2 = np.full(20, np.inf)
        twins.lower(d2, pool.gather(rows))
        np.testing.assert_allclose(d2, exact, rtol=1e-8)

    def test_no_product_on_a_cpu_is_subnormal(self):
        # As from a softmax of many classes: sgemm would take a hundred times as long.
        rng = np.random.default_rng(0)
        proba = 10.0 ** -rng.uniform(0, 40, size=(300, 40))
        pool = (proba / proba.sum(axis=1, keepdims=True), rng.normal(size=(300, 6)))
        proba, features = tensors(torch.float32, pool)
        assert ((proba * proba[:1]) < torch.finfo(torch.float32).tiny).any()
        gradients = TorchGradients(proba, features, bias=False)
        rows = torch.arange(300)
        centres = gradients.gather(rows.numpy())
        one = _torch_pass.Pass(
            gradients.rows, torch.full((300,), torch.inf), centres, rows, fresh=True
        )
        for units in one.c_units[:2]:
            least = units[units != 0].abs().min()
            assert float(least) ** 2 > torch.finfo(torch.float32).tiny
        arrays = (x.numpy() for x in (proba, features))
        same(batch_of(pool=gradients), select(*arrays, 100, random_state=3))

    def test_few_pairs_are_evaluated(self):
        pool = TorchGradients(
            *tensors(pool=pools.confident(20_000, 10, 16, seed=5, signed=False)), bias=False
        )
        stats = d2_sample(pool, 500, random_state=0).stats
        assert stats["pairs"] == stats["pairs_tested"] == 20_000 * 500
        # Most of them records in a row's sequence of distances: the logarithm of 500, and some.
        assert stats["residual_products"] == stats["feature_products"] < 0.03 * stats["pairs"]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_rows_out_of_reach_of_the_dtype(self, dtype):
        # Centres so small beside a row that the ratio of the norms cannot be squared.
        proba, features = tensors(dtype)
        size = 1e-18 if dtype == torch.float32 else 1e-135
        features[:100] *= size
        features[100:] /= size
        blocks = [np.arange(50), np.arange(50, 120)]
        traces = []
        for pool in (
            TorchGradients(proba, features, bias=False),
            pools.plain(proba.numpy(), features.numpy(), bias=False),
        ):
            state, trace = pool.start(NONE), np.full((120, 700), np.nan)
            for block in blocks:
                part = trace[block[0] : block[-1] + 1]
                state.min_update(pool.gather(block), block, trace=part)
            traces.append(trace)
        np.testing.assert_allclose(*traces, rtol=1e-9)


class TestRoom:
    """Tiles of any size; smaller ones when memory runs out; a clear error when it stays so."""

    @pytest.mark.parametrize("size", [1, 1 << 16, 1 << 30])
    def test_in_tiles_of_any_size(self, batch, size, monkeypatch):
        monkeypatch.setattr(_torch_rows, "CPU_BYTES", size)
        same(batch_of(), batch)

    @pytest.mark.parametrize("least", [0, 5_000])
    @pytest.mark.parametrize(
        "error",
        [
            torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
            RuntimeError("MPS backend out of memory (MPS allocated: 5.00 GB)"),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            MemoryError(),
        ],
        ids=["cuda", "mps", "cpu", "numpy"],
    )
    def test_a_tile_that_does_not_fit_is_halved(self, batch, error, least, monkeypatch):
        # Late in the work on a tile, so that whatever it had changed would be changed twice.
        pairs, failures = [], []
        evaluate = _torch_pass.Pass._expanded

        def short_of_memory(x, y, *, bias):
            pairs.append(len(x[0]))
            if len(x[0]) > max(2_000, least):
                failures.append(len(x[0]))
                raise error
            return evaluate(x, y, bias=bias)

        monkeypatch.setattr(_torch_rows, "CPU_BYTES", 1 << 24)
        monkeypatch.setattr(_torch_pass.Pass, "_expanded", staticmethod(short_of_memory))
        same(batch_of(), batch)
        assert bool(failures) == (least == 0)
        assert max(pairs) > 2_000

    def test_when_nothing_fits_the_error_says_what_and_how_much(self, monkeypatch):
        pool = TorchGradients(*tensors(), bias=False)
        error = torch.cuda.OutOfMemoryError("CUDA out of memory.")

        def no_memory(*_):
            raise error

        monkeypatch.setattr(_torch_pass.Pass, "_near", no_memory)
        message = (
            r"Out of memory on cpu: a pass of 76 centres over 700 rows of 5 probabilities and 12 "
            r"features needs about [\d,]+ bytes for a tile of 16 rows.*float16.*to the CPU"
        )
        with pytest.raises(MemoryError, match=message) as caught:
            d2_sample(pool, 100, random_state=3)
        assert caught.value.__cause__ is error

    def test_no_room_for_what_is_beside_the_tiles(self, monkeypatch):
        pool, rows = TorchGradients(*tensors(), bias=False), np.arange(20)
        state, centres = pool.start(NONE), pool.gather(rows)

        def no_memory(*_, **__):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

        monkeypatch.setattr(_torch, "Pass", no_memory)
        message = (
            r"Out of memory on cpu: a pass of 20 centres over 700 rows needs more than is free"
        )
        with pytest.raises(MemoryError, match=message):
            state.min_update(centres, rows)

    def test_other_errors_are_none_of_memory(self, monkeypatch):
        def broken(*_):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

        monkeypatch.setattr(_torch_pass.Pass, "_near", broken)
        with pytest.raises(RuntimeError, match="mat1 and mat2"):
            batch_of()
        assert not is_out_of_memory(ValueError("shapes"))

    def test_on_cuda_a_part_of_what_is_free(self, monkeypatch):
        free = {"bytes": 3 << 30}
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free["bytes"], 80 << 30))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 700)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 200)
        cuda = torch.device("cuda", 0)
        assert room(cuda) == ((3 << 30) + 500) // 2
        free["bytes"] = 70 << 30
        assert room(cuda) == _torch_rows.MOST_BYTES
        assert room(torch.device("mps")) == _torch_rows.UNKNOWN_BYTES


class TestSettings:
    """What the user has set for a network neither changes a batch nor is changed by one."""

    @pytest.fixture(autouse=True)
    def _as_before(self):
        yield
        if set_by_library():
            torch.backends.mkldnn.matmul.fp32_precision = "none"
            torch.backends.cuda.matmul.fp32_precision = "none"

    @by_library
    @pytest.mark.parametrize("precision", ["tf32", "ieee", "none"])
    def test_of_products(self, batch, precision):
        modules = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)
        for module in modules:
            module.fp32_precision = precision
        same(batch_of(), batch)
        assert [module.fp32_precision for module in modules] == [precision] * 2

    @by_library
    def test_products_are_plain_during_a_pass_and_as_set_after_an_error(self, monkeypatch):
        seen = []

        def look(*_):
            seen.append(torch.backends.cuda.matmul.fp32_precision)
            seen.append(torch.is_autocast_enabled("cpu"))
            raise ValueError("seen enough")

        pool = TorchGradients(*tensors(), bias=False)
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        monkeypatch.setattr(_torch_pass.Pass, "_near", look)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with pytest.raises(ValueError, match="seen enough"):
                batch_of(pool=pool)
            assert torch.is_autocast_enabled("cpu")
        assert seen == ["ieee", False]
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"

    def test_sums_in_float16_are_not_made_in_a_pass(self, monkeypatch):
        matmul, seen = torch.backends.cuda.matmul, []
        names = "allow_fp16_reduced_precision_reduction", "allow_fp16_accumulation"
        names = [name for name in names if hasattr(matmul, name)]

        def look(*_):
            seen.append([getattr(matmul, name) for name in names])
            raise ValueError("seen enough")

        monkeypatch.setattr(_torch_pass.Pass, "_near", look)
        before = [getattr(matmul, name) for name in names]
        try:
            for value in (True, False):
                for name in names:
                    setattr(matmul, name, value)
                with pytest.raises(ValueError, match="seen enough"):
                    batch_of(pool=TorchGradients(*tensors(), bias=False))
                assert [getattr(matmul, name) for name in names] == [value] * len(names)
        finally:
            for name, value in zip(names, before, strict=True):
                setattr(matmul, name, value)
        assert seen == [[False] * len(names)] * 2

    def test_autocast(self, batch):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            same(batch_of(), batch)

    def test_before_torch_had_a_setting_for_each_library(self, batch, monkeypatch):
        monkeypatch.setattr("labelnext.utils.libraries.set_by_library", lambda: False)
        calls = []
        monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
        monkeypatch.setattr(torch, "set_float32_matmul_precision", calls.append)
        same(batch_of(), batch)
        assert calls[:2] == ["highest", "high"]
        assert calls.count("highest") == calls.count("high") == len(calls) / 2

    def test_defaults_of_dtype_and_device(self, batch):
        pair = tensors()
        torch.set_default_dtype(torch.float16)
        torch.set_default_device("meta")
        try:
            pool = TorchGradients(*pair, bias=False)
            same(batch_of(pool=pool), batch)
        finally:
            torch.set_default_device(None)
            torch.set_default_dtype(torch.float32)

    def test_deterministic_algorithms(self, batch):
        torch.use_deterministic_algorithms(True)
        try:
            same(batch_of(), batch)
        finally:
            torch.use_deterministic_algorithms(False)

    def test_a_graph(self, batch):
        proba, features = (x.requires_grad_() for x in tensors())
        pool = TorchGradients(proba * 1, features * 1, bias=False)
        picked = batch_of(pool=pool)
        same(picked, batch)
        assert not pool.gather(picked.indices).features.requires_grad
        assert proba.grad is None

    def test_again(self):
        one, two = batch_of(), batch_of()
        np.testing.assert_array_equal(one.indices, two.indices)
        np.testing.assert_array_equal(one.potentials, two.potentials)
        assert one.stats == two.stats


class TwoDevices(TorchFunctionMode):
    """Keep account of where tensors would be if the pool's device were not the exact one.

    Both are the CPU here, told apart by an index. Tensors that carry a place must not meet
    those of the other in one function, and none on the device may be float64.
    """

    def __init__(self):
        super().__init__()
        self.moved = 0

    @staticmethod
    def place(device):
        return None if device is None else ("device" if device.index == 0 else "exact")

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        flat = [*args, *kwargs.values()]
        flat = [x for a in flat for x in (a if isinstance(a, list | tuple) else [a])]
        devices = [x for x in flat if isinstance(x, torch.device)]
        places = {x.place for x in flat if isinstance(x, torch.Tensor) and hasattr(x, "place")}
        place = self.place(devices[0]) if devices else next(iter(places), None)
        if not devices:
            assert len(places) < 2, f"{function} of tensors on both devices"
        out = function(*args, **kwargs)
        if devices and places - {place}:
            self.moved += 1
        for x in out if isinstance(out, list | tuple) else [out]:
            if isinstance(x, torch.Tensor) and place is not None and x.ndim:
                if devices and places - {place}:
                    x = out = x.clone() if x is args[0] else x  # noqa: PLW2901
                assert (place, x.dtype) != ("device", torch.float64), f"{function} in float64"
                x.place = place
        return out


class TestWithoutFloat64:
    """On a device without float64, D² and exact distances are the CPU's business."""

    @pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
    def test_no_tensor_is_where_it_cannot_be(self, task, monkeypatch):
        monkeypatch.setattr("labelnext.engine._torch_rows.has_float64", lambda device: False)
        proba, features = tensors()
        proba = proba[:, :1].clone() if task == "binary" else proba
        plain = TorchGradients(proba, features, bias=True, task=task)
        with TwoDevices() as devices:
            proba.place = features.place = "device"

            class Elsewhere(_torch_rows.TorchRows):
                device = property(lambda self: torch.device("cpu", 0), lambda self, value: None)

            monkeypatch.setattr(_torch, "TorchRows", Elsewhere)
            pool = TorchGradients(proba, features, bias=True, task=task)
            assert pool.rows.exact_device == torch.device("cpu")
            picked = d2_sample(pool, 100, random_state=3)
            assert devices.moved > 10
        same(picked, d2_sample(plain, 100, random_state=3))


class TestInputs:
    BAD = (
        ("proba", 300, 1, np.nan),
        ("proba", 300, 1, np.inf),
        ("proba", 699, 4, -0.25),
        ("proba", 0, 0, 1.5),
        ("features", 300, 11, np.nan),
        ("features", 5, 0, -np.inf),
    )

    @pytest.mark.parametrize("task", ["multiclass", "multilabel"])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
    @pytest.mark.parametrize("bad", BAD, ids=str)
    def test_what_is_refused_is_refused_in_the_words_for_arrays(self, bad, dtype, task):
        name, row, column, value = bad
        proba, features = tensors(dtype)
        {"proba": proba, "features": features}[name][row, column] = value
        messages = []
        for make in (TorchGradients, pools.plain):
            pair = (
                (proba, features) if make is TorchGradients else (proba.numpy(), features.numpy())
            )
            with (
                pytest.raises(ValueError, match=f"row {row}") as caught,
                warnings.catch_warnings(action="ignore"),
            ):
                make(*pair, bias=False, task=task)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]

    def test_too_large(self):
        proba, features = tensors(torch.float64)
        features[600, 3] = 1e150
        with pytest.raises(ValueError, match=r"features of row 600 are too large.*1e\+150"):
            TorchGradients(proba, features, bias=False)

    def test_bfloat16(self):
        proba, features = tensors(torch.bfloat16)
        pool = TorchGradients(proba, features, bias=False)
        arrays = (x.float().numpy() for x in (proba, features))
        other = pools.plain(*arrays, bias=False, stored_as="bfloat16")
        same(batch_of(pool=pool), batch_of(pool=other))
        with pytest.raises(ValueError, match=r"within 0\.02 for bfloat16"):
            TorchGradients(0.9 * proba, features, bias=False)

    def test_other_dtypes_side_by_side(self):
        proba, features = tensors(torch.float64)
        features = (8 * features).round().to(torch.int16)
        pool = TorchGradients(proba, features, bias=True)
        other = pools.plain(proba.numpy(), features.numpy(), bias=True)
        same(batch_of(pool=pool), batch_of(pool=other))

    def test_the_callers_tensors_stay_as_they_are(self):
        pair = tensors()
        copies = [x.clone() for x in pair]
        pool = TorchGradients(*pair, bias=True)
        batch_of(pool=pool)
        pool.gather(NONE).residuals.fill_(7.0)
        pool.gather(np.arange(700)).features.fill_(7.0)
        assert all(map(torch.equal, pair, copies))
        assert pool.proba.data_ptr() == pair[0].data_ptr()
        assert pool.features.data_ptr() == pair[1].data_ptr()

    def test_what_it_says_of_itself(self):
        proba, features = tensors(torch.float16)
        pool = TorchGradients(proba, features, bias=True)
        assert repr(pool) == (
            "TorchGradients of 700 rows: multiclass, 5 classes, 12 features in float16 with a "
            "bias, on cpu"
        )
        assert (pool.bias, pool.task, pool.device) == (True, "multiclass", torch.device("cpu"))


def accelerated(*arguments, **options):
    """`as_gradients` of CPU tensors as if they were on an accelerator."""
    from labelnext.pools import arrays

    def as_part(part, values):
        return check.real_tensor(part, values), None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "common_device", lambda *_: torch.device("cuda"))
        patch.setattr(arrays, "as_part", as_part)
        return as_gradients(*arguments, **options)


class TestAtTheEdge:
    """What `as_gradients` makes of tensors that are not on the CPU."""

    @pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
    def test_a_pool_on_their_device(self, task):
        proba, features = tensors()
        proba = proba[:, 0] if task == "binary" else proba
        pool = accelerated(proba, features, bias=True, task=task)
        assert type(pool) is TorchGradients
        arrays = (x.numpy() for x in (proba, features))
        same(
            pools.choose(pool, 50, random_state=1),
            select(*arrays, 50, bias=True, task=task, random_state=1),
        )

    def test_one_dimension_keeps_small_probabilities(self):
        p = torch.tensor([1e-4, 1e-9, 0.75], dtype=torch.float16)
        pool = accelerated(p, torch.ones(3, 1, dtype=torch.float16))
        assert pool.n_classes == 2
        np.testing.assert_allclose(
            np.asarray(pool.squared_norms), 2 * np.minimum(p.numpy(), 1 - p.double().numpy()) ** 2
        )

    def test_shapes_are_refused_as_those_of_arrays_are(self):
        proba, features = tensors()
        with pytest.raises(ValueError, match=r"699 rows of proba and 700 of features"):
            accelerated(proba[1:], features)
        with pytest.raises(ValueError, match=r"got shape \(700, 5\).*multiclass"):
            accelerated(proba, features, task="binary")
        with pytest.raises(TypeError, match="sparse tensor"):
            accelerated(proba, features.to_sparse())
        # A single column is P(y = 1).
        assert accelerated(torch.ones(700, 1), features).n_classes == 2
