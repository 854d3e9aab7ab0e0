"""Principal component analysis as a detector: the linear baseline, in closed form."""

from numbers import Integral
from typing import Annotated, Any, Literal

import numpy as np

from ..models.base import learned
from ..models.linear import LinearModel
from ..params import Count, Range
from ..rows.linear import column_means, default_latent_dim, filled, principal_axes
from ..warn import warn
from .base import Detector


class PCADetector(Detector):
    """Score rows by their squared distance from the first principal components.

    The best linear autoencoder (Bourlard & Kamp, 1988; Baldi & Hornik, 1989): what a deeper one
    has to beat.

    Parameters
    ----------
    latent_dim : int, float or "auto", default="auto"
        Number of components; a float in (0, 1] keeps the fewest components that hold that share
        of the variance, but never as many as rebuild every training row exactly; "auto" is the
        square root of the number of columns, rounded up.
    whiten : bool, default=False
        Whether `transform` divides each component by its standard deviation. Scores do not
        change.

    Attributes
    ----------
    components_ : ndarray of shape (latent_dim_, n_features)
        Orthonormal axes, largest variance first.
    explained_variance_ : ndarray of shape (latent_dim_,)
        Variance along each axis, in squared units of the data.
    mean_ : ndarray of shape (n_features,)
    latent_dim_ : int
        Number of components kept.
    n_parameters_ : int
        Numbers learned: the axes and the mean.
    offset_ : float
        Threshold on the score.
    calibration_scores_ : ndarray
        Sorted scores of rows by models that did not learn from them. Only with
        ``contamination="auto"`` and at least 20 rows.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    See Also
    --------
    Autoencoder : The same idea with curved surfaces.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import PCADetector
    >>> x = np.arange(10.0)
    >>> X = np.c_[x, x + 0.1 * (-1) ** x]
    >>> detector = PCADetector(latent_dim=1, contamination=0).fit(X)
    >>> detector.predict([[1.5, 1.5], [0, 4]])
    array([ 1, -1])
    """

    latent_dim: Literal["auto"] | Count | Annotated[float, Range(0, 1, above_low=True)] = "auto"
    whiten: bool = False

    def _prepared(self, X: Any) -> np.ndarray:
        rows = super()._prepared(X)
        if self.latent_dim == rows.shape[1]:
            warn(
                f"latent_dim={self.latent_dim} keeps all columns of X and rebuilds every row "
                "exactly. Lower it.",
            )
        return rows

    def _learn(self, X: np.ndarray) -> LinearModel:
        mean, axes, variances = self._axes(filled(X, column_means(X)))
        return LinearModel(mean, np.ascontiguousarray(axes), variances, bool(self.whiten))

    def _axes(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        wanted = default_latent_dim(X.shape[1]) if self.latent_dim == "auto" else self.latent_dim
        if isinstance(wanted, Integral):
            if wanted > X.shape[1]:
                raise ValueError(
                    f"latent_dim={wanted} exceeds the {X.shape[1]} columns of X; set at most that."
                )
            return principal_axes(X, int(wanted))
        mean, axes, variances = principal_axes(X)
        share = np.cumsum(variances) / max(variances.sum(), np.finfo(np.float64).tiny)
        all_but_one = max(1, min(len(X) - 1, X.shape[1]) - 1)  # one fewer than rebuild every row
        k = min(int(np.searchsorted(share, wanted)) + 1, all_but_one)
        return mean, axes[:k], variances[:k]

    mean_ = learned("mean", "Column means.")
    components_ = learned("axes", "Orthonormal axes, largest variance first.")
    explained_variance_ = learned("variances", "Variance along each axis.")
    latent_dim_ = learned("latent_dim", "Number of components kept.")

    @property
    def n_parameters_(self) -> int:
        """Numbers learned."""
        return self.components_.size + self.mean_.size
