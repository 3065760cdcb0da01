"""What people call the columns of a pool; for the command's old readers, to go with them."""

from labelnext.pools._open import USUAL

PROBA, FEATURES, IDS = (USUAL[what] for what in ("proba", "features", "ids"))
