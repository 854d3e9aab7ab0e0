"""Autoencoder: rebuild a row from a narrow code, and distrust rows that come back wrong."""

from typing import Annotated, Literal

import numpy as np

from ..networks.base import Network
from ..params import Count, NotNegative, Positive, Range
from .learning import Learning


class Autoencoder(Learning):
    """Score rows by how badly an undercomplete autoencoder rebuilds them.

    An encoder squeezes a row x into a code z of a few numbers, a decoder rebuilds it, and both
    learn to make the mean of ``error(x_hat, x)`` over the training rows small (Rumelhart, Hinton
    & Williams, 1986; Hinton & Salakhutdinov, 2006). What is common among the training rows is
    rebuilt well; what is unusual is not.

    Rows enter the network centred on the column means and divided by one overall standard
    deviation, and leave it mapped back. Columns with larger spread count for more, as in PCA: put
    a ``StandardScaler`` in front where that is not wanted. A network whose output is bounded
    ("sigmoid", "tanh") gets the data as they are.

    Parameters
    ----------
    latent_dim : int or "auto", default="auto"
        Width of the code; "auto" is the square root of the number of columns, rounded up.
    network : Network or tuple of int, default=(64, 32)
        The layers; a tuple gives the encoder's hidden widths and means `Dense`.
    loss : {"squared_error", "absolute_error", "binary_cross_entropy", "huber"}, \
            default="squared_error"
        Error of a rebuilt value, averaged over columns. The cross-entropy needs data in [0, 1] and
        ``output_activation="sigmoid"``; Huber's bend is at the overall standard deviation.
    optimizer : {"adam", "adamw", "sgd", "rmsprop"}, default="adam"
        "sgd" has a Nesterov momentum of 0.9.
    learning_rate : float, default=0.001
        Size of a step.
    epochs : int, default=100
        Passes over the training rows, at most.
    batch_size : int or "auto", default="auto"
        Rows a step; "auto" makes about 16 steps an epoch, with 8 to 256 rows each.
    weight_decay : float, default=0
        L2 penalty ("adamw": decoupled decay).
    early_stopping : bool, default=False
        Hold out rows, keep the weights of the epoch that rebuilt them best, and stop when none has
        been better for a while.
    validation_fraction : float, default=0.1
        Share of the training rows held out by `early_stopping`.
    n_iter_no_change : int, default=10
        Epochs without improvement after which `early_stopping` stops.
    tol : float, default=0.0001
        Smallest improvement that counts, as a share of the loss of the column means.
    contamination : float or "auto", default="auto"
        Share of training rows, from 0 to 0.5, that the threshold puts outside; "auto" takes
        rows beyond Tukey's fence of the logarithmic error, and at least the worst one.
    device : str, default="auto"
        Where to train: "cpu", "cuda", ...; "auto" prefers CUDA. Fitted networks rest on the CPU.
    random_state : int, RandomState or None, default=None
        Seed of weights, shuffles and the held-out rows. None differs from call to call. The global
        random state is never touched.
    warm_start : bool, default=False
        Go on from the weights of the previous fit.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Trained parameters. A dense layer's last row is its bias.
    loss_curve_ : list of float
        Mean training loss of each epoch, in the unit of the loss.
    validation_loss_curve_ : list of float
        The same on held-out rows; only with `early_stopping`.
    n_iter_ : int
        Epochs run, over all fits with `warm_start`.
    n_parameters_ : int
        Numbers learned.
    compression_ratio_ : float
        Width of the code as a share of the width of a row.
    fit_report_ : dict
        The did-it-learn check, on at most 1,000 rows: "rows" ("training" or "held-out"), "error"
        of this model, "mean_row_error" of answering with the training rows' column means,
        "pca_error" of the training rows' principal components of equal width.
        "constant_columns": indices of columns that are the same in all of those rows, of which
        nothing can be learned.
    latent_dim_ : int
        Width of the code.
    code_mean_ : ndarray of shape (latent_dim_,)
    code_covariance_ : ndarray of shape (latent_dim_, latent_dim_)
        Of the codes of at most 1,000 training rows; `sample` draws from them.
    mean_ : ndarray of shape (n_features,)
    scale_ : float
        What rows are centred on and divided by; 0 and 1 where the network's output is bounded, and
        no centring where it has no bias.
    column_means_ : ndarray of shape (n_features,)
        They stand in for missing values.
    network_ : Network
    loss_ : str
        The network and the loss as trained; later changes of the parameters do not touch them.
    offset_ : float
        Threshold on the score.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    Warns
    -----
    ConvergenceWarning
        If the fitted model rebuilds rows no better than the column means, or all rows get the same
        code.
    UserWarning
        If ``latent_dim >= n_features``: the identity can be learned, and detects nothing. If a
        named column of a table is constant.

    See Also
    --------
    PCADetector : The linear case in closed form.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from aedetect import Autoencoder
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> benign, malignant = X[y == 1], X[y == 0]
    >>> detector = make_pipeline(StandardScaler(), Autoencoder(epochs=20, random_state=0))
    >>> scores = detector.fit(benign[:200]).score_samples(malignant)
    >>> bool(scores.mean() < detector.score_samples(benign[200:]).mean())
    True
    """

    latent_dim: Literal["auto"] | Count = "auto"
    network: Network | tuple[Count, ...] = (64, 32)
    loss: Literal["squared_error", "absolute_error", "binary_cross_entropy", "huber"] = (
        "squared_error"
    )
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    learning_rate: Positive = 1e-3
    epochs: Count = 100
    batch_size: Literal["auto"] | Count = "auto"
    weight_decay: NotNegative = 0.0
    early_stopping: bool = False
    validation_fraction: Annotated[float, Range(0, 0.5, above_low=True)] = 0.1
    n_iter_no_change: Count = 10
    tol: NotNegative = 1e-4
    device: str = "auto"
    random_state: int | np.random.RandomState | None = None
    warm_start: bool = False
