"""A torch module as a classifier that bears missing labels."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from labelnext.estimators._classifier import PartlyLabelledClassifier
from labelnext.utils import MISSING_LABEL, check_random_state
from labelnext.utils.given import shown
from labelnext.utils.libraries import require, without_tensor


class SkorchClassifier(PartlyLabelledClassifier):
    """
    Train a torch module on the samples that have labels.

    skorch [1]_ does the training, and this class what a loop of active learning asks for: labels
    of any type that may be missing, classes that nobody has labelled yet, training from scratch
    or from the weights so far, repeatable by `random_state`, and probabilities together with the
    input of the last linear layer, so that `labelnext.pool.Badge` takes it as it is.

    Parameters
    ----------
    module : torch.nn.Module, class or instance
        The network. It gets the samples of a batch, and returns a logit for each class, in the
        order of the sorted classes, or for two classes the logit of the second. A class is
        called anew for each fit, with arguments given as ``module__hidden=64``. Of an instance
        each fit trains a copy that starts from its weights. An output that is a tuple has the
        logits first, one that is a mapping has them at `logits`.
    criterion : torch loss, class or instance, default=None
        The loss; None is `torch.nn.CrossEntropyLoss`. All take logits, as does
        `torch.nn.BCEWithLogitsLoss` of modules with a single output, except for
        `torch.nn.NLLLoss`: it takes probabilities, as is skorch's rule, or their logarithms, as
        is torch's.
    neural_net_param_dict : dict, default=None
        More arguments of skorch's `NeuralNet`, as in scikit-activeml. One that is a parameter
        here too must not be given in both places.
    sample_dtype : dtype, None or 'auto', default='auto'
        What samples become, batch by batch. 'auto' gives them the floating type of the module's
        weights; whole numbers stay such, as int64, if the module has an embedding. None leaves
        them as they are.
    classes, missing_label, cost_matrix : optional
        As in `SklearnClassifier`. Without `classes` the module must have as many outputs as there
        are classes among the labels.
    random_state : int, RandomState, Generator or None, default=None
        Seeds the first weights, the order of samples, dropout and ties: two fits with one seed
        give the same weights. Torch's own generators are left where they were.
    optimizer : torch optimizer class, default=None
        None is `torch.optim.Adam`.
    lr : float, default=0.001
        The learning rate.
    max_epochs : int, default=100
        How often training goes through the labelled samples.
    batch_size : int, default=64
        How many samples a step of training has.
    device : str or torch.device, default='cpu'
        Where the network lives.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last one, instead of from scratch.
    early_stopping : bool, default=False
        Whether to hold out labelled samples, each class in proportion, to stop when their loss
        gets no better, and to return to the best weights. With too few labels to hold out two,
        all are trained on, with a warning.
    validation_fraction : float, default=0.1
        The share of the labelled samples to hold out.
    n_iter_no_change : int, default=10
        How many epochs without progress on them stop the training.
    callbacks : list, default=None
        Callbacks of skorch.
    head : str, default=None
        The name of the last linear layer in the module, where `labelnext.extract` can't tell.
    verbose : int, default=0
        Whether to print a line for each epoch.
    **net_params : dict
        More arguments of skorch's `NeuralNet`, such as ``module__hidden=64``,
        ``optimizer__weight_decay=1e-4`` or ``iterator_train__num_workers=2``.

    Attributes
    ----------
    net_ : skorch.NeuralNetClassifier
        The network: `net_.module_` is the torch module, `net_.history` how training went.
    classes_, cost_matrix_ : numpy.ndarray
        As in `SklearnClassifier`.
    n_features_in_ : int
        The size of the samples' first dimension in `fit`: features, tokens or channels.

    See Also
    --------
    SklearnClassifier : Any scikit-learn classifier, with missing labels.
    labelnext.extract : Probabilities and features of a network trained elsewhere.

    Notes
    -----
    skorch's own defaults, ten epochs of plain gradient descent, leave a network on a few dozen
    labels about where it started. Hence Adam, as in [2]_, and a hundred epochs.

    While all labels are missing, or there is but one class, the network keeps its first weights:
    all classes are equally likely, and the features are those of the untrained network.

    Samples are rows, images (n, channels, height, width) or token numbers, arrays or tensors.

    A query strategy fits a copy, from scratch. In a loop fit the classifier once a round, and let
    the strategy use it as it is with ``fit_clf=False``: then nothing is trained twice, and
    `warm_start` has its effect.

    If the module normalises over batches, a last batch of a single sample is left out of an
    epoch, since it has no variance.

    References
    ----------
    .. [1] M. Tietz, T. J. Fan, D. Nouri, B. Bossan and skorch developers, "skorch: A
       scikit-learn compatible neural network library that wraps PyTorch", 2017.
    .. [2] J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal, "Deep batch active
       learning by diverse, uncertain gradient lower bounds", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from torch import nn
    >>> from labelnext.classifier import SkorchClassifier
    >>> X, y_true = load_digits(return_X_y=True)
    >>> y = np.where(np.arange(len(X)) < 400, y_true, np.nan)
    >>> net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> clf = SkorchClassifier(net, classes=range(10), lr=0.01, max_epochs=20, random_state=0)
    >>> round(clf.fit(X / 16, y).score(X[400:] / 16, y_true[400:]), 1)
    0.9
    >>> proba, features = clf.predict_proba(X / 16, return_embeddings=True)
    >>> proba.shape, features.shape
    ((1797, 10), (1797, 32))
    """

    _checks: ClassVar = {"dtype": "numeric", "allow_nd": True}
    net_: Any
    # The probabilities of every sample while the network is not trained.
    _stand_in: npt.NDArray[np.float32] | None

    def __init__(
        self,
        module: Any,
        criterion: Any = None,
        *,
        neural_net_param_dict: dict[str, Any] | None = None,
        sample_dtype: Any = "auto",
        classes: npt.ArrayLike | None = None,
        missing_label: Any = MISSING_LABEL,
        cost_matrix: npt.ArrayLike | None = None,
        random_state: Any = None,
        optimizer: Any = None,
        lr: float = 1e-3,
        max_epochs: int = 100,
        batch_size: int = 64,
        device: Any = "cpu",
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        callbacks: Any = None,
        head: Any = None,
        verbose: int = 0,
        **net_params: Any,
    ) -> None:
        self._keep(locals(), **net_params)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        # A network is no estimator, and has no parameters of its own in scikit-learn's sense.
        return {**super().get_params(deep=deep), **self._net_params()}

    def set_params(self, **params: Any) -> Self:
        own = {name: value for name, value in params.items() if name in self._get_param_names()}
        others = {name: value for name, value in params.items() if name not in own}
        if others:
            _require_torch()
            from labelnext.estimators._train import is_skorch_name

            unknown = [name for name in others if not is_skorch_name(name)]
            if unknown:
                raise ValueError(
                    f"Invalid parameter {shown(unknown[0])} for {type(self).__name__}: it has "
                    f"{', '.join(self._get_param_names())}, and what skorch's NeuralNet takes"
                )
        for name, value in others.items():
            setattr(self, name, value)
        super().set_params(**own)
        return self

    def fit(self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        return self._fit(X, y, sample_weight, goes_on=self.warm_start)

    def partial_fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        classes: npt.ArrayLike | None = None,
    ) -> Self:
        """
        Train the network further, `max_epochs` times through these samples.

        Parameters
        ----------
        X, y, sample_weight : array-like
            Samples, as in `fit`, which says what raises.
        classes : array-like of shape (n_classes,), default=None
            All classes there are, for the first call, if the classifier was not given any.

        Returns
        -------
        SkorchClassifier
            The fitted classifier itself.

        Raises
        ------
        ValueError
            As in `fit`; or if a label or one of `classes` was not among the classes of the
            first call.
        """
        return self._fit(X, y, sample_weight, goes_on=True, classes=classes)

    def predict_proba(self, X: Any, return_embeddings: bool = False) -> Any:
        """
        Estimate the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as in `fit`.
        return_embeddings : bool, default=False
            Whether to return the features too: the input of the last linear layer.

        Returns
        -------
        proba : numpy.ndarray of shape (n_samples, n_classes), float32
            The probabilities in the order of `classes_`.
        features : numpy.ndarray of shape (n_samples, n_features), float32
            The features, if asked for.

        Raises
        ------
        ValueError
            If `X` is not as it was in `fit`, the module's outputs are not finite, or it has no
            last linear layer though features are asked for: see `labelnext.extract`.
        """
        check_is_fitted(self)
        X = self._samples(X)
        from labelnext.estimators._train import ask, ask_with_features

        proba = None if self._stand_in is None else np.tile(self._stand_in, (len(X), 1))
        if not return_embeddings:
            return ask(self.net_, X) if proba is None else proba
        of_net, features = ask_with_features(self.net_, X, self.head)
        return of_net if proba is None else proba, features

    def _proba_with_dropout(self, X: Any, seed: int) -> npt.NDArray[Any]:
        """Return what `predict_proba` does, with the module's dropout at work."""
        if self._stand_in is not None:
            return np.asarray(self.predict_proba(X))
        from labelnext.estimators._train import ask_with_dropout

        return ask_with_dropout(self.net_, self._samples(X), self.head, seed)

    def _net_params(self) -> dict[str, Any]:
        """Return what was given beside our own parameters."""
        own = self._get_param_names()
        return {
            name: value
            for name, value in vars(self).items()
            if not (name in own or name.startswith("_") or name.endswith("_"))
        }

    def _fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None,
        *,
        goes_on: bool,
        classes: npt.ArrayLike | None = None,
    ) -> Self:
        _require_torch()
        from labelnext.estimators._net import own_randomness
        from labelnext.estimators._train import build_net, change_net, train

        goes_on = goes_on and hasattr(self, "net_")
        samples = self._samples(X, reset=not goes_on)
        codes, weights = self._labels(X, y, sample_weight, classes, goes_on=goes_on)
        draw = check_random_state(self.random_state_)
        seed = int(draw.randint(2**32, dtype=np.uint32))
        if goes_on:
            change_net(self.net_, self)
        else:
            with own_randomness(self.device, seed):
                self.net_ = build_net(self)
            n_classes = len(self.classes_)
            self._stand_in = np.full(n_classes, 1 / n_classes, dtype=np.float32)
        rows = np.flatnonzero(codes >= 0)
        if len(rows) == 0 or len(self.classes_) == 1:
            return self
        held_out = self._hold_out(codes[rows], draw)
        weights = None if weights is None else weights[rows]
        # Another order of samples for each epoch, also where training goes on.
        training_seed = np.random.SeedSequence([seed, len(self.net_.history)]).generate_state(1)
        with own_randomness(self.device, int(training_seed[0])):
            train(self.net_, samples[rows], codes[rows], weights, held_out)
        self._stand_in = None
        return self

    def _hold_out(
        self, codes: npt.NDArray[np.int64], draw: np.random.RandomState
    ) -> npt.NDArray[np.int64] | None:
        if not self.early_stopping:
            return None
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction must be between 0 and 1, got {self.validation_fraction}"
            )
        from labelnext.estimators._train import hold_out

        rows = hold_out(codes, self.validation_fraction, draw)
        if rows is None:
            warnings.warn(
                f"of {len(codes)} labels, none of which may be the last of its class, "
                f"validation_fraction={self.validation_fraction} holds out fewer than two: this "
                f"fit has no early stopping and takes all {self.max_epochs} epochs",
                stacklevel=4,
            )
        return rows

    def _samples(self, X: Any, *, reset: bool = False) -> Any:
        return super()._samples(without_tensor(X), reset=reset)


def _require_torch() -> None:
    for module in ("torch", "skorch"):
        require(module, extra="torch", what="SkorchClassifier")
