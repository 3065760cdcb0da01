"""The main job with what is installed: it picks, writes a pool, and has its compiled pass."""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import labelnext
from labelnext.engine import _kernels

X, y = load_digits(return_X_y=True)
X = X / 16
clf = LogisticRegression(max_iter=1000).fit(X[:100], y[:100])
pool = labelnext.Pool(clf.predict_proba(X), X, ids=[f"img-{i}" for i in range(len(X))])
batch = labelnext.select(pool, 5, exclude=range(100), random_state=0)
assert len(set(np.asarray(batch.ids))) == 5
with tempfile.TemporaryDirectory() as folder:
    labelnext.write_pool(sys.argv[1] if sys.argv[1:] else Path(folder) / "pool", pool)
print(batch)
print("Instructions:", *_kernels.instructions())
