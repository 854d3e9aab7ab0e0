"""Autoencoder: rebuild a row from a narrow code; rows that are rebuilt badly are anomalous."""

from typing import Annotated, Literal

import numpy as np

from ..networks.base import Network
from ..params import Count, NotNegative, Positive, Range
from .learning import Learning


class Autoencoder(Learning):
    """Score rows by how badly an undercomplete autoencoder rebuilds them.

    An encoder compresses a row x into a code z of a few numbers, and a decoder rebuilds the row.
    Both are trained to minimise the mean of ``error(x_hat, x)`` over the training rows (Rumelhart,
    Hinton & Williams, 1986; Hinton & Salakhutdinov, 2006). What is common among the training rows
    is rebuilt well; what is unusual is not.

    Rows are centred on the column means and divided by one overall standard deviation before they
    enter the network, and its output is mapped back. As in PCA, columns with a larger spread have
    more weight; put a ``StandardScaler`` in front if this is not wanted. A network with bounded
    output ("sigmoid", "tanh") receives the data unscaled.

    Parameters
    ----------
    latent_dim : int or "auto", default="auto"
        Width of the code; "auto" is the square root of the number of columns, rounded up.
    network : Network or tuple of int, default=(64, 32)
        The layers; a tuple gives the encoder's hidden widths and means `Dense`.
    loss : {"squared_error", "absolute_error", "binary_cross_entropy", "huber"}, \
            default="squared_error"
        Error of a rebuilt value, averaged over columns. The cross-entropy needs data in [0, 1] and
        ``output_activation="sigmoid"``; the Huber loss becomes linear at the overall standard
        deviation.
    optimizer : {"adam", "adamw", "sgd", "rmsprop"}, default="adam"
        "sgd" uses a Nesterov momentum of 0.9.
    learning_rate : float, default=0.001
        Step size of the optimizer.
    epochs : int, default=100
        Maximum number of passes over the training rows.
    batch_size : int or "auto", default="auto"
        Rows per step; "auto" gives about 16 steps per epoch, with 8 to 256 rows each.
    weight_decay : float, default=0
        L2 penalty ("adamw": decoupled decay).
    early_stopping : bool, default=False
        Hold out rows, stop when the error on them no longer improves, and keep the weights of the
        best epoch.
    validation_fraction : float, default=0.1
        Share of the training rows held out by `early_stopping`.
    n_iter_no_change : int, default=10
        Epochs without improvement after which `early_stopping` stops.
    tol : float, default=0.0001
        Smallest improvement that counts, as a share of the loss of the column means.
    device : str, default="auto"
        Where to train: "cpu", "cuda", ...; "auto" prefers CUDA. Fitted networks are kept on the
        CPU.
    random_state : int, RandomState or None, default=None
        Seed for the initial weights, shuffling and the choice of held-out rows. With None, results
        differ from call to call. The global random state is never touched.
    warm_start : bool, default=False
        Continue from the weights of the previous fit.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Trained parameters. A dense layer's last row is its bias. A network of your own may add its
        persistent buffers, such as running means.
    loss_curve_ : list of float
        Mean training loss of each epoch, in the unit of the loss.
    validation_loss_curve_ : list of float
        The same on held-out rows; only with `early_stopping`.
    n_iter_ : int
        Epochs run, over all fits with `warm_start`.
    best_epoch_ : int
        Epoch, from 1, whose weights were kept: with `early_stopping` the best, else the last.
    n_parameters_ : int
        Number of trained values.
    compression_ratio_ : float
        Width of the code as a share of the width of a row.
    fit_report_ : dict
        Check of what was learned, on at most 1,000 rows. "rows" says which ("training" or
        "held-out"). "error" is the error of this model, "mean_row_error" that of predicting the
        training rows' column means, and "pca_error" that of as many principal components of the
        training rows as the code has units. "constant_columns" holds the indices of columns that
        are constant in the training rows looked at, and from which nothing can be learned.
    latent_dim_ : int
        Width of the code.
    code_mean_ : ndarray of shape (latent_dim_,)
    code_covariance_ : ndarray of shape (latent_dim_, latent_dim_)
        Mean and covariance of the codes of at most 1,000 training rows; `sample` uses them.
    mean_ : ndarray of shape (n_features,)
    scale_ : float
        Rows are centred on `mean_` and divided by `scale_`. These are 0 and 1 if the network's
        output is bounded, and `mean_` is 0 if the network has no bias.
    column_means_ : ndarray of shape (n_features,)
        Replacements for missing values.
    network_ : Network
    loss_ : str
        The network and the loss used in training; later parameter changes do not affect them.
    offset_ : float
        Threshold on the score.
    calibration_scores_ : ndarray
        Sorted scores of rows by models that did not learn from them. Only with
        ``contamination="auto"`` and at least 20 rows.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    Warns
    -----
    ConvergenceWarning
        If the fitted model rebuilds rows no better than the column means, or if all rows have the
        same code.
    UserWarning
        If ``latent_dim >= n_features``, as the identity can then be learned, which detects
        nothing; or if a named column of a table is constant.

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
