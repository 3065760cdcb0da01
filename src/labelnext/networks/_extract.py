"""The public edge: from a network and data to a pool, to its two parts, or to its last layer."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from labelnext.pools import Pool, open_pool, replacing
from labelnext.pools.source import PARTS
from labelnext.utils.given import refuse_other_order
from labelnext.utils.libraries import require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    import torch
    from numpy.typing import ArrayLike, DTypeLike

    from labelnext.cluster import Ray
    from labelnext.networks._head import Head
    from labelnext.utils.given import Task


def extract(
    model: torch.nn.Module | Sequence[torch.nn.Module],
    data: Any,
    *,
    head: str | torch.nn.Module | None = None,
    task: Task | None = None,
    bias: bool = False,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | DTypeLike | None = None,
    amp: bool | str | torch.dtype | None = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
    progress: bool | Callable[[int, int | None], None] = True,
    n_passes: int | None = None,
    ids: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    out: str | PathLike[str] | None = None,
    rows_per_shard: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    cluster: Ray | None = None,
) -> Pool:
    """
    Run a network once over data and return a pool of what it says, to select from.

    The gradient of the loss at the pseudo-label with respect to the last linear layer is the
    outer product of the residual and of what that layer is given [1]_. The pool has the
    probabilities, of which the residual is made, and that input as features, both from evaluation
    mode. Afterwards, also after an exception or Ctrl-C, the network is as it was: the mode of
    each submodule, hooks, gradients, statistics of batch normalisation, and random generators.

    Parameters
    ----------
    model : torch.nn.Module, or list of them
        The network. Out of `torch.compile`, `DataParallel` or `DistributedDataParallel` the
        module inside is run, on one device. Of several networks, a committee, the pool has the
        probabilities of each, shape (n_members, n_rows, n_classes), and no features.
    data : DataLoader, Dataset, tensor, array, frame, dict or list
        The samples, in the order of the pool's rows: a DataLoader that neither shuffles nor drops
        the last batch, anything with a length and items, an `IterableDataset`, a tensor or array
        with a row for each sample, a dict of them, or a list of samples. Frames and series are
        read by position, never by their index; those of numbers are arrays, others dicts of their
        columns. Several workers may read an `IterableDataset` only if it has a length and yields
        as many samples: each worker must yield its share.

        Of batches that are tuples, as many elements are passed as `forward` requires (at least
        one); the rest are taken for labels. Batches that are dicts are passed by keyword, without
        labels and without what `forward` does not name. Labels in data are never used. Floats in
        tensors and arrays, but not those of a loader or data set, are converted to the dtype of
        the weights.
    head : str or torch.nn.Module, default=None
        The last linear layer, by its name or itself; None to find the one whose output is the
        network's, as `labelnext.networks.find_head` does.
    task : {"multiclass", "multilabel", "binary", "regression"}, default=None
        What the network is trained for: softmax, independent sigmoids, one sigmoid, or numbers.
        The loss is the cross-entropy, for sigmoids the binary one at the rounded probabilities;
        of a regression the pool has features only, the gradient of the output. None for what the
        network's configuration says in the manner of transformers (`problem_type`; one output is
        a regression), else "binary" for one output and "multiclass" for more.
    bias : bool, default=False
        Whether the gradient with respect to the last layer's bias counts too.
    device : str or torch.device, default=None
        Where to run, and to keep the pool if it is an accelerator; None for where the weights
        are. Elsewhere the network runs with copies of its weights, which stay where they are.
    dtype : str, torch.dtype or numpy.dtype, default=None
        What the features are kept as: "float16" halves their memory. None for what the network
        computes, bfloat16 on a CPU as float32. Probabilities are float32 or, from logits in
        float64, float64.
    amp : bool, str or torch.dtype, default=None
        Automatic mixed precision: a dtype, torch's default for the device, or none. None for True
        on a CUDA device and False elsewhere.
    batch_size : int, default=None
        Samples a batch; None for 256. A DataLoader has its own.
    num_workers : int, default=None
        Processes that read samples; None for none. A DataLoader has its own.
    progress : bool or callable, default=True
        Whether to show a bar, on stderr and only if that is a terminal or a notebook; or a
        function to call after each batch as ``progress(done, total)``, with None for a total that
        is not known.
    n_passes : int, default=None
        How many passes to make with dropout at work, beside the one in evaluation mode: the pool
        then has the probabilities of each, shape (n_passes, n_rows, n_classes), and the features
        of evaluation mode. The same call drops the same.
    ids, groups, labels, classes : array-like, default=None
        What is known of the samples, in their order, and the names of the classes; as those of
        `labelnext.Pool`. Classes are None for those in the network's configuration (`id2label`),
        if someone named them.
    out : str or path-like, default=None
        A folder to write the pool of one network to, shard by shard: no more than one shard is in
        memory. None keeps the pool in memory.
    rows_per_shard : int, default=None
        With `out`: how many rows to write at once, rounded up to whole batches. None for 65,536,
        or for what an extraction was begun with that is resumed.
    resume : bool, default=False
        With `out`: whether to go on with an extraction of the same data by the same network. The
        samples of finished shards are not computed again, nor read where data has items by
        number: all but an `IterableDataset`, a `DataLoader` of a class of your own or with a
        `worker_init_fn`. A few of them are, to refuse other data.
    overwrite : bool, default=False
        With `out`: whether to replace a pool that is in the folder, once the new one is whole. An
        unfinished one is deleted first.
    cluster : labelnext.Ray, default=None
        With `out`: a Ray cluster, whose actors each write shards to the folder, which all its
        machines must see. Data must have items by number, or be a Ray Data set, whose columns are
        passed by keyword; a single column, beside labels, may have any name. The shards of actors
        that are lost are written by others. With GPUs `device` is "cuda".

    Returns
    -------
    Pool
        The pool, for `labelnext.select`: row i is sample i. It has the weights of the last layer
        too, unless it is a committee's. With `out`, that of `labelnext.open_pool`.

    Raises
    ------
    FileExistsError
        If `out` holds a pool, and neither `resume` nor `overwrite` is asked for, or other files.
    OSError
        If the disk is full, or `out` may not be written to. Shards that are finished stay, or,
        with `overwrite`, the pool that was there.
    ValueError
        If the last layer is not clear or not last, outputs are not n × C, logits are not finite
        (the message says of which sample), data is empty, has masked values or would not line up
        with the rows, the task contradicts the network, ids or the like do not line up, a
        committee has one member, the device is not there, or what is to be resumed was begun with
        another network, data, dtype or size of shards.
    TypeError
        If model or data is of no kind that is known, or cannot be sent to a cluster, or an
        argument would be ignored, such as `batch_size` beside a DataLoader.
    RuntimeError
        If data raises while it is read; the message says at which item.
    ImportError
        If torch is not installed, or Ray is not and was asked for.
    ConnectionError, TimeoutError, ShardLostError
        With `cluster`: it is not there, has no room for an actor, or a shard was lost too often.

    See Also
    --------
    labelnext.select : Choose a batch from the pool.
    labelnext.networks.proba_and_features : The same as two tensors.

    References
    ----------
    .. [1] Ash et al., Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds,
       ICLR 2020.

    Examples
    --------
    >>> import torch
    >>> import labelnext
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> pool = labelnext.extract(model, torch.randn(100, 4), progress=False)
    >>> pool.n_rows, pool.n_classes
    (100, 3)

    What several networks say, for strategies that ask a committee:

    >>> others = [torch.nn.Linear(4, 3) for _ in range(5)]
    >>> labelnext.extract(others, torch.randn(100, 4), progress=False).n_members
    5
    """
    require("torch", extra="torch", what="labelnext.extract")
    from labelnext.networks._data import without_index

    how: dict[str, Any] = {
        "head": head,
        "task": task,
        "device": device,
        "dtype": dtype,
        "amp": amp,
        "batch_size": batch_size,
        "num_workers": num_workers,
        "progress": progress,
    }
    known = {"ids": ids, "groups": groups, "labels": labels}
    files: dict[str, Any] = {
        "rows_per_shard": rows_per_shard,
        "resume": resume,
        "overwrite": overwrite,
    }
    refuse_other_order(data=data, **known)
    data = without_index(data)
    if out is None:
        given = [name for name, value in files.items() if value not in (None, False)]
        if given or cluster is not None:
            raise TypeError(
                f"{', '.join(given or ['cluster'])} is for a pool in files: say where with "
                f"out='folder'."
            )
        return _in_memory(model, data, n_passes, bias, known, classes, how)
    if resume and overwrite:
        raise ValueError("Either resume=True goes on with a pool or overwrite=True replaces it.")
    if n_passes is not None or _are_several(model):
        raise TypeError(
            "A pool in files has the probabilities of one network: of a committee pass no `out`, "
            "which keeps them in memory, or call extract for each member, with a folder for each."
        )
    from labelnext.networks.results import last_layer
    from labelnext.networks.untouched import unwrap

    if cluster is None:
        from labelnext.networks._to_files import extract_to
    else:
        from labelnext.networks._on_ray import extract_on_ray

        extract_to = partial(extract_on_ray, cluster=cluster)
    files |= {"bias": bias, "classes": classes}
    with replacing(out) if overwrite else nullcontext() as new:
        if new is not None:  # the old pool stays until this is whole
            files |= {"overwrite": False, "stay": False}
        layer = extract_to(new or out, model, data, known=known, files=files, options=how)
    found: Any = unwrap(model).get_submodule(layer)
    return Pool.of(open_pool(out), last_layer=last_layer(found))


def _in_memory(
    model: Any,
    data: Any,
    n_passes: int | None,
    bias: bool,
    known: dict[str, Any],
    classes: Any,
    how: dict[str, Any],
) -> Pool:
    from labelnext.networks._to_files import survey
    from labelnext.networks.passes import check_committee, opinions, run_into
    from labelnext.networks.results import Result, last_layer

    several = _are_several(model)
    models = list(model) if several else [model]
    if several or n_passes is not None:
        check_committee(model, n_passes, several=several, bias=bias, dtype=how["dtype"])
    source = survey(models[0], data, **how)
    samples = vars(source.known(**known))
    layer: Any = None
    features: Any = None
    proba: Any = None
    plan: Any = None
    if not several:
        parts = PARTS if n_passes is None else PARTS[1:]
        result = run_into(Result, model, data, parts=parts, **how)
        (proba, features), plan = result.finish(), result.plan
        layer = last_layer(plan.head.module)
        how = {**how, "dtype": None}
    if several or n_passes is not None:
        proba, plan = opinions(models, data, n_passes=n_passes, n_rows=source.n_rows, **how)
    return Pool(
        proba,
        features,
        **samples,
        classes=plan.classes if classes is None else classes,
        task=plan.task,
        bias=bias,
        last_layer=layer,
    )


def _are_several(model: Any) -> bool:
    import torch

    return isinstance(model, list | tuple | torch.nn.ModuleList)


def proba_and_features(
    model: torch.nn.Module,
    data: Any,
    *,
    head: str | torch.nn.Module | None = None,
    task: Task | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | DTypeLike | None = None,
    amp: bool | str | torch.dtype | None = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
    progress: bool | Callable[[int, int | None], None] = False,
) -> tuple[Any, torch.Tensor]:
    """
    Run a network once over data and return probabilities, and what its last layer was given.

    Parameters
    ----------
    model, data, head, task, device, dtype, amp, batch_size, num_workers, progress : any
        As those of `labelnext.extract`, which makes a pool of the result.

    Returns
    -------
    proba : torch.Tensor of shape (n_rows, n_classes)
        Probabilities, in float32 or, from logits in float64, in float64. One column is the
        probability of the second class, of a head with a single logit. None of a regression.
    features : torch.Tensor of shape (n_rows, n_features)
        The input of the last linear layer; the caller's own tensor if the model is no more than
        that layer.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `labelnext.extract`.
    ImportError
        If torch is not installed.

    Examples
    --------
    >>> import torch
    >>> from labelnext.networks import proba_and_features
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> proba, features = proba_and_features(model, torch.ones(2, 4))
    >>> proba.shape, features.shape
    (torch.Size([2, 3]), torch.Size([2, 8]))
    >>> proba[0].numpy().round(2)
    array([0.31, 0.33, 0.36], dtype=float32)
    """
    require("torch", extra="torch", what="labelnext.networks.proba_and_features")
    from labelnext.networks.passes import run_into
    from labelnext.networks.results import Result

    proba, features = run_into(
        Result,
        model,
        data,
        head=head,
        task=task,
        device=device,
        dtype=dtype,
        amp=amp,
        batch_size=batch_size,
        num_workers=num_workers,
        progress=progress,
    ).finish()
    assert features is not None
    return proba, features


def find_head(
    model: torch.nn.Module,
    example: Any,
    *,
    head: str | torch.nn.Module | None = None,
    task: Task | None = None,
) -> Head:
    """
    Find the last linear layer of a network: the one whose output is the network's output.

    The network runs on the first samples of an example, and each output of its linear layers is
    held against what it returns: a tensor, `logits` by attribute or key, a part of a tuple or
    dict, and any of these after a softmax or sigmoid, or their logarithm. The network is left
    as it was.

    Parameters
    ----------
    model : torch.nn.Module
        The network; compiled or wrapped in `DataParallel` too.
    example : tensor, tuple, list or dict
        A batch as a loader yields it, with labels or without.
    head : str or torch.nn.Module, default=None
        The layer to check, by its name or itself; None to search among all.
    task : {"multiclass", "multilabel", "binary", "regression"}, default=None
        What the network is trained for; see `labelnext.extract`.

    Returns
    -------
    Head
        The layer as `module`, its `name`, and how the output comes from it.

    Raises
    ------
    ValueError
        If no layer, or more than one, gives the output. The message lists those that were seen.
    ImportError
        If torch is not installed.

    Examples
    --------
    >>> import torch
    >>> from labelnext.networks import find_head
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> find_head(model, torch.zeros(2, 4)).name
    '2'
    """
    require("torch", extra="torch", what="labelnext.networks.find_head")
    from labelnext.networks._batches import Arguments
    from labelnext.networks._head import locate
    from labelnext.networks.results import asked_task, task_of
    from labelnext.networks.untouched import check_device, untouched, unwrap

    network = unwrap(model)
    asked = asked_task(network, task)
    place = check_device(network, None)
    with untouched(network):
        args, kwargs = Arguments(network, place, copy=True)(example, 0)
        found = locate(network, args, kwargs, head, asked or "multiclass")
    task_of(network, asked, found)
    return found
