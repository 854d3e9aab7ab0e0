"""Which tumours are strange, and is the threshold where it should be? A page answers.

A detector learns from benign tumours; the page covers other tumours, benign and malignant. Open it
in any browser, move the threshold, and click a row's number. Run:
``python examples/report.py tumours.html``.
"""

import argparse

from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import Autoencoder
from aedetect.report import write_html


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", help="file to write")
    path = parser.parse_args().page
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    benign = X[y == 1]
    detector = make_pipeline(StandardScaler(), Autoencoder(latent_dim=4, random_state=0))
    detector.fit(benign[:250])
    others = X.drop(index=benign.index[:250])
    others.attrs["name"] = "tumours"
    write_html(detector, others, path, y=y[others.index].map({1: 1, 0: -1}))


if __name__ == "__main__":
    main()
