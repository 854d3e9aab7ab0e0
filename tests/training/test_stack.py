"""What a network keeps in buffers is learned, kept and scored with."""

import numpy as np
import pytest
from sklearn.base import clone
from torch import nn

from aedetect import Autoencoder, AutoencoderEnsemble, Dense
from aedetect.networks import Network


class Normal(nn.BatchNorm1d):
    """Batch norm of the one model there is."""

    def forward(self, x):
        return super().forward(x[0])[None]


class Normalised(Network):
    """Batch norm of the rows, then dense layers."""

    def build(self, n_features, latent_dim, generators, heads=1):
        net = Dense(hidden=(16,)).build(n_features, latent_dim, generators, heads)
        net.encoder.insert(0, Normal(n_features, affine=False))
        return net


MODEL = Autoencoder(network=Normalised(), latent_dim=4, learning_rate=0.01, random_state=0)


@pytest.mark.filterwarnings("ignore:The network did not learn")
def test_running_variances_are_learned_and_gone_on_with(tumours):
    X, n = tumours[0], len(tumours[0])
    model = clone(MODEL).set_params(batch_size=n, epochs=3, warm_start=True).fit(X)
    variance = X.var(axis=0, ddof=1) / model.scale_**2
    for steps in (3, 6):
        kept = 0.9**steps
        expected = kept + (1 - kept) * variance
        np.testing.assert_allclose(model.weights_["encoder.0.running_var"], expected, rtol=1e-4)
        norm = model.model_.net.encoder[0]
        np.testing.assert_allclose(norm.running_var, expected, rtol=1e-4)
        assert norm.num_batches_tracked == steps
        assert model.n_parameters_ == (30 + 1) * 16 + (16 + 1) * 4 + (4 + 1) * 16 + (16 + 1) * 30
        model.fit(X)


def test_held_out_rows_are_judged_as_rows_are_scored(digits):
    options = {"early_stopping": True, "n_iter_no_change": 3, "epochs": 200, "learning_rate": 0.02}
    model = clone(MODEL).set_params(**options).fit(digits[:300])
    assert model.best_epoch_ < model.n_iter_
    assert model.fit_report_["rows"] == "held-out"
    best = model.validation_loss_curve_[model.best_epoch_ - 1]
    assert best == min(model.validation_loss_curve_)
    assert model.fit_report_["error"] == pytest.approx(best, rel=1e-4)


def test_members_that_keep_buffers_equal_models_alone(digits):
    template = clone(MODEL).set_params(epochs=5)
    ensemble = AutoencoderEnsemble(estimator=template, n_estimators=3, random_state=0)
    for member in ensemble.fit(digits[:300]).estimators_:
        alone = clone(member).fit(digits[:300])
        np.testing.assert_array_equal(member.score_samples(digits), alone.score_samples(digits))
