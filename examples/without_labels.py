"""Can the code width be chosen without labels, and where do the criteria mislead?

Detectors learn from the nines among the digits; the other digits are the outliers to be found. For
each code width, the table shows the true AUROC and the values of criteria that need no labels; an
asterisk marks the width that each would choose. Run:
``python examples/without_labels.py``.
"""

import warnings
from functools import partial

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from aedetect import Autoencoder
from aedetect.metrics import (
    excess_mass,
    mass_volume,
    pca_advantage,
    seed_stability,
    synthetic_auroc,
)

CRITERIA = {
    "score": lambda model, rows: model.score(rows),
    "pca_advantage": pca_advantage,
    "excess_mass": excess_mass,
    "mass_volume": mass_volume,
    "synthetic_auroc": synthetic_auroc,
    "seed_stability": partial(seed_stability, n_seeds=4),
}
WIDTHS = (1, 2, 4, 6, 8, 10)


def main() -> None:
    warnings.filterwarnings("ignore", message="latent_dim=.* is not below")
    digits = load_digits()
    nine = digits.target == 9
    train, held_out = train_test_split(digits.data[nine], test_size=0.5, random_state=0)
    test = np.r_[held_out, digits.data[~nine]]
    truth = np.r_[np.zeros(len(held_out)), np.ones((~nine).sum())]
    columns: dict[str, list[float]] = {"true AUROC": [], **{name: [] for name in CRITERIA}}
    for width in WIDTHS:
        # Twelve components: the volumes of a box of 64 columns cannot be sampled.
        model = make_pipeline(
            PCA(12), Autoencoder(latent_dim=width, network=(32,), epochs=200, random_state=0)
        ).fit(train)
        columns["true AUROC"].append(roc_auc_score(truth, -model.score_samples(test)))
        for name, criterion in CRITERIA.items():
            columns[name].append(criterion(model, held_out))
    print("width of the code" + "".join(f"{width:>9}" for width in WIDTHS))
    for name, values in columns.items():
        marks = ["*" if i == np.argmax(values) else " " for i in range(len(values))]
        cells = (f"{value:8.3f}{mark}" for value, mark in zip(values, marks, strict=True))
        print(f"{name:17}" + "".join(cells))


if __name__ == "__main__":
    main()
