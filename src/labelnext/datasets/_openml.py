"""Sets of OpenML, through scikit-learn and its cache in the data home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelnext.datasets._dataset import Dataset
from labelnext.datasets._ways import Way, resolve_home

if TYPE_CHECKING:
    from pathlib import Path


def openml_way(name: str, data_id: int, home: str | Path | None, *, download: bool) -> Way:
    """The way through OpenML: what an earlier download left, or a new one if that's allowed."""

    def load() -> Dataset | None:
        # scikit-learn caches the service's answers under its data home, by their address.
        cached = any((resolve_home(home) / "openml").glob(f"**/data/{data_id}.gz"))
        if not (cached or download):
            return None
        from sklearn.datasets import fetch_openml

        bunch = fetch_openml(
            data_id=data_id,
            as_frame=False,
            data_home=home,
            parser="liac-arff",
            n_retries=1,
        )
        target_names, y = np.unique(bunch.target.astype(str), return_inverse=True)
        return Dataset(
            X=np.asarray(bunch.data),
            y=y.astype(np.int64),
            name=name,
            source=f"OpenML, data set {data_id}",
            target_names=tuple(target_names.tolist()),
        )

    return Way(
        load,
        "go online once: scikit-learn then fetches it from OpenML "
        f"(sklearn.datasets.fetch_openml(data_id={data_id}))"
        + ("" if download else ", which download=False forbids"),
    )
