"""What a notebook shows of a detector."""

import re

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import Autoencoder, AutoencoderEnsemble, DenoisingAutoencoder, PCADetector


def captions(estimator):
    return re.findall('class="caption">(.*?)<', estimator._repr_html_())


@pytest.mark.parametrize("detector", [Autoencoder(), PCADetector(), AutoencoderEnsemble()])
def test_before_a_fit_there_is_nothing_to_say(detector):
    assert captions(detector) == []
    assert type(detector).__name__ in detector._repr_html_()


def test_a_fit_says_how_it_compares(digits):
    pipeline = make_pipeline(StandardScaler(with_std=False), Autoencoder(epochs=20, random_state=0))
    model = pipeline.fit(digits[:300])[-1]
    (told,) = captions(pipeline)
    assert captions(model) == [told]
    report = model.fit_report_
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", told)]
    expected = [
        model.latent_dim_,
        model.offset_,
        report["error"],
        report["mean_row_error"],
        report["pca_error"],
    ]
    assert numbers == pytest.approx(expected, rel=1e-2)


def test_detectors_without_a_network_tell_the_threshold(digits):
    detector = PCADetector(latent_dim=5).fit(digits[:100])
    assert captions(detector) == [f"code of 5; threshold {detector.offset_:.3g}"]


def test_there_is_no_link_to_pages_of_scikit_learn(digits):
    assert "href=" not in re.sub("#.*?;", "", PCADetector().fit(digits)._repr_html_())


def test_an_ensemble_shows_what_it_is_made_of():
    assert (
        "DenoisingAutoencoder"
        in AutoencoderEnsemble(estimator=DenoisingAutoencoder())._repr_html_()
    )
