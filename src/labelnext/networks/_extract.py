"""From a network and a data set to a pool of gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelnext.engine import as_gradients
from labelnext.utils.extras import require
from labelnext.utils.tasks import check_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    import torch
    from numpy.typing import ArrayLike, DTypeLike

    from labelnext.cluster import Ray
    from labelnext.engine import Gradients
    from labelnext.networks._head import Head
    from labelnext.utils.tasks import Task


def extract(
    model: torch.nn.Module,
    data: Any,
    *,
    head: str | torch.nn.Module | None = None,
    task: Task = "multiclass",
    bias: bool = False,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | DTypeLike | None = None,
    amp: bool | str | torch.dtype | None = None,
    batch_size: int = 256,
    num_workers: int = 0,
    progress: bool | Callable[[int, int | None], None] = True,
    out: str | PathLike[str] | None = None,
    rows_per_shard: int | None = None,
    ids: ArrayLike | None = None,
    resume: bool = False,
    overwrite: bool = False,
    cluster: Ray | None = None,
) -> Gradients:
    """
    Run a network once over data and return its pool of gradients, to select from.

    The gradient of the loss at the pseudo-label with respect to the last linear layer is the
    outer product of the residual and of what that layer is given [1]_. Both are caught in
    evaluation mode and in `torch.inference_mode`. Afterwards, also after an exception or
    Ctrl-C, the network is as it was: the mode of each submodule, hooks, gradients, statistics of
    batch normalisation, and the states of random generators.

    Parameters
    ----------
    model : torch.nn.Module
        The network. The module inside `torch.compile`, `DataParallel` or
        `DistributedDataParallel` is run itself, on one device; compiled code that holds the last
        layer is run as it was written.
    data : DataLoader, Dataset, tensor, array, dict or list
        The samples. A DataLoader must neither shuffle nor drop the last batch. Any data set with
        a length and items will do, and so will an `IterableDataset`, a tensor or array with one
        row for each sample, a dict of them, or a list of samples. Of batches that are tuples, as
        many elements are passed as `forward` requires (at least one); the rest are taken for
        labels. Batches that are dicts are passed by keyword, without labels and without what
        `forward` does not name. Labels are never used. Floats in tensors and arrays, but not
        those of a loader or data set, are converted to the dtype of the weights.
    head : str or torch.nn.Module, default=None
        The last linear layer, by its name or itself, for a network with several; None to find
        the one whose output is the network's, as `labelnext.networks.find_head` does.
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the network is trained for: softmax, independent sigmoids, or one sigmoid. The loss
        is the cross-entropy, for sigmoids the binary one at the rounded probabilities. A last
        layer with one output is that of a "binary" network.
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
        Automatic mixed precision: a dtype, torch's default dtype for the device, or none. None
        for True on a CUDA device and False elsewhere.
    batch_size : int, default=256
        Samples a batch, unless data is a DataLoader.
    num_workers : int, default=0
        Processes that read samples, unless data is a DataLoader.
    progress : bool or callable, default=True
        Whether to show a bar with the rate and the time left, on stderr and only if that is a
        terminal or a notebook; or a function to call after each batch as
        ``progress(done, total)``, with None for a total that is not known.
    out : str or path-like, default=None
        A folder to write the pool to, shard by shard: no more than one shard is in memory. None
        keeps the pool in memory.
    rows_per_shard : int, default=None
        With `out`: how many rows to write at once, rounded up to whole batches. None for 65,536,
        or for what an extraction was begun with that is resumed.
    ids : array-like of shape (n_rows,), default=None
        With `out`: the ids of the samples, integers or strings, to be kept with them. None for
        the numbers of the rows.
    resume : bool, default=False
        With `out`: whether to go on with an extraction of the same data by the same network, of
        which some shards are finished. Their samples are not computed again, nor read where data
        has items by number: all but an `IterableDataset`, a `DataLoader` of a class of your own
        or with a `worker_init_fn`.
    overwrite : bool, default=False
        With `out`: whether to delete a pool that is in the folder.
    cluster : Ray, default=None
        With `out`: the cluster whose actors each write shards.

    Returns
    -------
    Gradients
        The pool, for `labelnext.select`: row i is sample i. With `out`, that of
        `labelnext.open_pool`.

    Raises
    ------
    FileExistsError
        If `out` holds a pool, and neither `resume` nor `overwrite` is asked for, or other files.
    OSError
        If the disk is full, or `out` may not be written to. Shards that are finished stay.
    ValueError
        If the last layer is not clear or not last, outputs are not n × C, logits are not finite
        (the message says of which sample), data is empty or would not line up with the rows, the
        device is not there, or what is to be resumed was begun with another network, data,
        dtype or size of shards.
    TypeError
        If model or data is of no kind that is known, or cannot be sent to a cluster.
    RuntimeError
        If data raises while it is read; the message says at which item.
    ImportError
        If torch is not installed, or Ray is not and was asked for.
    ConnectionError, TimeoutError, ShardLostError
        With ``engine="ray"``: there is no cluster at the address, it has no room for an actor, or
        a shard was lost too often.

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

    Of more samples than memory holds, to a folder:

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> pool = labelnext.extract(model, torch.randn(100, 4), out=folder.name, progress=False)
    >>> pool.n_rows
    100
    >>> folder.cleanup()
    """
    require("torch", extra="torch", what="labelnext.extract")
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
    if out is None:
        if (
            rows_per_shard is not None
            or ids is not None
            or resume
            or overwrite
            or cluster is not None
        ):
            raise TypeError(
                "rows_per_shard, ids, resume, overwrite and cluster are for a pool in files: "
                "say where with out='folder'."
            )
        proba, values = proba_and_features(model, data, **how)
        if proba.shape[1] == 1 and task == "multiclass":
            task = "binary"
        return as_gradients(proba, values, bias=bias, task=task)
    from labelnext.networks._data import without_index

    data = without_index(data)
    if resume and overwrite:
        raise ValueError("Either resume=True goes on with a pool or overwrite=True deletes it.")
    files: dict[str, Any] = {
        "bias": bias,
        "ids": ids,
        "rows_per_shard": rows_per_shard,
        "resume": resume,
        "overwrite": overwrite,
    }
    if cluster is None:
        from labelnext.networks._to_files import extract_to

        extract_to(out, model, data, **files, **how)
    else:
        from labelnext.networks._on_ray import extract_on_ray

        extract_on_ray(out, model, data, cluster=cluster, **files, **how)
    from labelnext.pools import open_pool

    return open_pool(out)


def proba_and_features(
    model: torch.nn.Module,
    data: Any,
    *,
    head: str | torch.nn.Module | None = None,
    task: Task = "multiclass",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | DTypeLike | None = None,
    amp: bool | str | torch.dtype | None = None,
    batch_size: int = 256,
    num_workers: int = 0,
    progress: bool | Callable[[int, int | None], None] = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Run a network once over data and return probabilities, and what its last layer was given.

    All parameters are those of `labelnext.extract`, which makes a pool of the result.

    Parameters
    ----------
    model : torch.nn.Module
        The network.
    data : DataLoader, Dataset, tensor, array, dict or list
        The samples.
    head : str or torch.nn.Module, default=None
        The last linear layer; None to find it.
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the probabilities are of.
    device : str or torch.device, default=None
        Where to run; None for where the weights are.
    dtype : str, torch.dtype or numpy.dtype, default=None
        What the features are kept as.
    amp : bool, str or torch.dtype, default=None
        Automatic mixed precision; None for on a CUDA device only.
    batch_size : int, default=256
        Samples a batch.
    num_workers : int, default=0
        Processes that read samples.
    progress : bool or callable, default=False
        Whether to show a bar.

    Returns
    -------
    proba : torch.Tensor of shape (n_rows, n_classes)
        Probabilities, in float32 or, from logits in float64, in float64. One column is the
        probability of the second class, of a head with a single logit.
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
    from labelnext.networks._run import run

    return run(
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
    )


def find_head(
    model: torch.nn.Module,
    example: Any,
    *,
    head: str | torch.nn.Module | None = None,
    task: Task = "multiclass",
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
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
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
    from labelnext.networks._task import task_of
    from labelnext.networks.device import check_device
    from labelnext.networks.untouched import untouched, unwrap

    check_task(task)
    network = unwrap(model)
    place = check_device(network, None)
    with untouched(network):
        args, kwargs = Arguments(network, place, copy=True)(example, 0)
        found = locate(network, args, kwargs, head, task)
    task_of(task, found.module.out_features, found.activation)
    return found
