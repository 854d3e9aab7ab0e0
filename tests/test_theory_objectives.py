"""What lectures claim of sparse, denoising, contractive and variational autoencoders, measured."""

import numpy as np
import pytest
import torch
from estimators import losses_of, rows_of
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.base import clone

from aedetect import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    Dense,
    GaussianNoise,
    MaskingNoise,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from aedetect.chance import seeded
from aedetect.detectors.posterior import divergences
from aedetect.networks import ACTIVATIONS
from aedetect.objectives.jacobian import (
    factors_of,
    jacobian_norm,
    norm_of_product,
    pullback,
    row_times_product,
)

pytestmark = pytest.mark.filterwarnings("ignore:latent_dim=.* is not below")  # wide on purpose


# A13
def test_compression_ratio(digits):
    model = Autoencoder(latent_dim=16, epochs=20, random_state=0).fit(digits[:200])
    assert model.compression_ratio_ == 16 / 64


def sparse_path(digits, weights, **params):
    fits = [
        SparseAutoencoder(latent_dim=256, sparsity=weight, random_state=0, **params).fit(digits)
        for weight in weights
    ]
    return fits, [-model.score(digits) for model in fits]


# C1
def test_l1_makes_few_units_active(digits):
    network = Dense(hidden=(), code_activation="relu")
    options = {"network": network, "epochs": 30, "learning_rate": 1e-2}
    fits, errors = sparse_path(digits, [0.0, 0.2, 0.5], **options)
    shares = [model.active_share_ for model in fits]
    assert shares[0] > shares[1] > shares[2]
    kept = [share for share, error in zip(shares, errors, strict=True) if error <= 2 * errors[0]]
    assert min(kept) <= 0.5 * shares[0]


# C2
def test_divergence_pulls_rates_to_the_target(digits):
    network = Dense(hidden=(), code_activation="sigmoid")
    options = {"network": network, "penalty": "kl", "epochs": 120, "learning_rate": 3e-3}
    fits, errors = sparse_path(digits, [0.0, 3e-4, 0.05], **options)
    gaps = [np.abs(model.activation_rates_ - 0.05).mean() for model in fits]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] <= 0.03
    good = [gap for gap, error in zip(gaps, errors, strict=True) if error <= 1.5 * errors[0]]
    assert min(good) <= 0.25 * gaps[0]


# C2
def test_divergence_is_its_formula(rng):
    rates = rng.uniform(0.01, 0.99, 7)
    rho = 0.2
    formula = rho * np.log(rho / rates) + (1 - rho) * np.log((1 - rho) / (1 - rates))
    objective = SparseAutoencoder.objective(penalty="kl", target_activation=rho)
    z = torch.from_numpy(np.tile(rates, (1, 5, 1)))
    np.testing.assert_allclose(objective.divergence(z.mean(-2, True)), [[formula.sum()]], rtol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh"])
# C2
def test_refuses_unbounded_activations(activation, digits):
    network = Dense(code_activation=activation)
    with pytest.raises(ValueError, match=f"code_activation is '{activation}', set .*'sigmoid'"):
        SparseAutoencoder(penalty="kl", network=network).fit(digits[:50])


# C4
def test_finds_a_sparse_code(rng):
    dictionary = rng.standard_normal((100, 100))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    codes = np.zeros((4000, 100))
    for row in codes:
        row[rng.choice(100, 10, replace=False)] = rng.uniform(0.5, 1.5, 10)
    X = codes @ dictionary
    network = Dense(hidden=(), code_activation="relu")
    model = SparseAutoencoder(
        latent_dim=100,
        network=network,
        sparsity=2.0,
        epochs=150,
        learning_rate=3e-3,
        random_state=0,
    ).fit(X)
    assert (model.transform(X) > 1e-3).sum(axis=1).mean() <= 30
    assert 1 + model.score(X) / X.var(axis=0).mean() >= 0.9


# C9
def test_masks_are_new_each_time_and_leave_the_target_alone():
    mask = MaskingNoise(rate=0.3)
    x, generator = torch.ones(1000, 100), seeded(0)
    first, second = mask(x, generator), mask(x, generator)
    assert (first == 0).float().mean() == pytest.approx(0.3, abs=0.01)
    assert set(first.unique().tolist()) == {0.0, 1.0}  # kept values are not rescaled
    assert (first != second).any()
    assert (x == 1).all()


class Recorder:
    """A corruption of one's own that remembers what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, generator):
        assert isinstance(generator, torch.Generator)
        self.calls.append((x.clone(), torch.rand(1, generator=generator).item()))
        return x * 0.5


# C9, C10
def test_own_corruption_sees_batches_in_fit_and_nothing_in_scoring(digits):
    X = digits[:100]
    model = DenoisingAutoencoder(
        corruption=Recorder(),
        epochs=20,
        batch_size=40,
        learning_rate=0.01,
        contamination=0,
        random_state=0,
    )
    clone(model)
    model.fit(X)
    calls = model.corruption.calls
    assert [len(x) for x, _ in calls] == [40, 40, 20] * 20
    seen = torch.cat([x for x, _ in calls[:3]]).numpy()  # the data's own unit
    np.testing.assert_allclose(np.sort(seen.ravel()), np.sort(X.ravel()), atol=1e-5)
    assert len({draw for _, draw in calls}) == len(calls)
    model.score_samples(X)
    model.transform(X)
    assert len(model.corruption.calls) == 60


# C10
def test_pairs_of_corrupted_and_clean_rows(digits, rng):
    noisy = digits + 0.3 * rng.standard_normal(digits.shape)
    model = DenoisingAutoencoder(latent_dim=16, epochs=60, random_state=0)
    model.fit(digits[:1400], X_corrupted=noisy[:1400])
    clean, given = digits[1400:], noisy[1400:]
    error = np.square(model.denoise(given) - clean).mean()
    assert error < 0.35 * np.square(given - clean).mean()
    with pytest.raises(ValueError, match="X_corrupted has 10 rows, X has 20"):
        model.fit(digits[:20], X_corrupted=noisy[:10])
    plain = clone(model).fit(digits[:1400])  # pairs are forgotten
    assert plain.n_features_in_ == 64


# C11
def test_noise_and_sparsity_together(digits):
    shared = {"latent_dim": 32, "epochs": 40, "random_state": 0}
    shared["network"] = Dense(hidden=(), code_activation="relu")
    noise = MaskingNoise(rate=0.4)
    both = DenoisingAutoencoder(corruption=noise, sparsity=0.5, **shared).fit(digits)
    noise_alone = DenoisingAutoencoder(corruption=noise, **shared).fit(digits)
    sparse = SparseAutoencoder(sparsity=0.5, **shared).fit(digits)
    assert both.transform(digits).mean() < 0.6 * noise_alone.transform(digits).mean()
    masked = np.where(np.random.default_rng(0).random(digits.shape) < 0.4, 0, digits)
    errors = [np.square(model.reconstruct(masked) - digits).mean() for model in (both, sparse)]
    assert errors[0] < errors[1]


# C18
def test_denoising_projects_onto_the_data(rng):
    t = rng.uniform(0.25, 1, (2, 1000)) * 1.6 * np.pi
    arms = [s * np.c_[t[i] * np.cos(t[i]), t[i] * np.sin(t[i])] for i, s in enumerate((1, -1))]
    X = np.concatenate(arms) / (1.6 * np.pi)
    model = DenoisingAutoencoder(
        latent_dim=2,
        network=Dense(hidden=(128, 128), activation="silu"),
        corruption=GaussianNoise(scale=0.15),
        epochs=150,
        random_state=0,
    ).fit(X)
    axis = np.linspace(-1, 1, 41)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert np.linalg.norm(model.travel(X), axis=1).mean() <= 0.05
    distance = cdist(grid, X).min(axis=1)
    travel = np.linalg.norm(model.travel(grid), axis=1)
    assert spearmanr(travel, distance).statistic >= 0.7
    after = cdist(model.denoise(grid), X).min(axis=1)
    assert after.mean() <= 0.5 * distance.mean()


@pytest.mark.machines
# C20
def test_penalty_is_the_jacobians_norm(digits):
    network = Dense(hidden=(), code_activation="sigmoid")
    model = ContractiveAutoencoder(latent_dim=8, network=network, epochs=30, random_state=0)
    model.fit(digits[:300])
    W = model.weights_["encoder.0.weight"][:-1].astype(float)  # (64, 8)
    h = model.transform(digits)
    closed = (np.square(h * (1 - h)) * np.square(W).sum(axis=0)).sum(axis=1)
    np.testing.assert_allclose(model.jacobian_norms(digits), closed, rtol=1e-4)


@pytest.mark.machines
# C20
def test_deep_encoders_and_hutchinsons_estimate(digits):
    model = ContractiveAutoencoder(latent_dim=4, epochs=20, random_state=0).fit(digits[:300])
    x, net = rows_of(model, digits[:5])[0], model.model_.net
    exact = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda row: net.encode(row[None, None])[0, 0], row)
            .square()
            .sum()
            for row in x
        ]
    )
    np.testing.assert_allclose(model.jacobian_norms(digits[:5]), exact, rtol=1e-5)
    u = torch.randn(4000, 1, 4, generator=seeded(0))
    many = x[:1].expand(4000, 1, -1).reshape(1, 4000, -1).clone().requires_grad_()
    z = net.encode(many)
    pulled = torch.autograd.grad(z, many, u.reshape(1, 4000, 4))[0]
    assert pulled.square().sum(-1).mean().item() == pytest.approx(exact[0].item(), rel=0.1)


@pytest.mark.parametrize("jacobian", ["exact", "hutchinson"])
# C20, C21
def test_more_contraction_flatter_code_and_larger_error(jacobian, digits):
    norms, errors = [], []
    for contraction in (0.0, 0.01, 0.1, 1.0):
        model = ContractiveAutoencoder(
            contraction=contraction, jacobian=jacobian, latent_dim=8, epochs=25, random_state=0
        ).fit(digits)
        norms.append(model.jacobian_norms(digits).mean())
        errors.append(-model.score(digits))
    assert norms == sorted(norms, reverse=True)
    assert errors == sorted(errors)


# C22
def test_contraction_with_cross_entropy(digits):
    network = Dense(hidden=(32,), code_activation="sigmoid", output_activation="sigmoid")
    model = ContractiveAutoencoder(
        latent_dim=8, network=network, loss="binary_cross_entropy", epochs=40, random_state=0
    ).fit(digits)
    assert model.fit_report_["error"] < model.fit_report_["mean_row_error"]


# D1
def test_divergence_equals_torch_and_monte_carlo():
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, -0.8]])
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    p = torch.distributions.Normal(torch.zeros(1, 2), torch.ones(1, 2))
    exact = torch.distributions.kl_divergence(q, p).sum(-1)
    torch.testing.assert_close(divergences(mean, log_variance).sum(-1), exact)
    z = mean + (log_variance / 2).exp() * torch.randn(100_000, 2, generator=seeded(0))
    sampled = (q.log_prob(z) - p.log_prob(z)).sum(-1).mean()
    assert sampled.item() == pytest.approx(exact.item(), rel=0.01)
    assert not divergences(torch.zeros(1, 3), torch.zeros(1, 3)).any()


# D2
def test_gradient_flows_through_the_draw(digits):
    model = VariationalAutoencoder(latent_dim=3, epochs=20, random_state=0).fit(digits[:200])
    net, x = model.model_.net.double(), rows_of(model, digits[:10]).double()
    bias = net.encoder[-1].weight  # its last row: three means, three logarithmic variances

    def loss():
        return losses_of(model.model_.objective, net, x, 3, [seeded(4)]).mean()

    bias.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(), bias)
    for unit in range(6):
        change = torch.zeros_like(bias)
        change[0, -1, unit] = 1e-5
        with torch.no_grad():
            ends = []
            for sign in (1, -1):
                bias += sign * change
                ends.append(loss().item())
                bias -= sign * change
        slope = (ends[0] - ends[1]) / 2e-5
        assert gradient[0, -1, unit].item() == pytest.approx(slope, rel=1e-4, abs=1e-9)
        assert slope != 0


# D2
def test_codes_are_means_and_samples_are_seeded(digits):
    model = VariationalAutoencoder(latent_dim=3, epochs=20, random_state=0).fit(digits[:200])
    mean, deviation = model.posterior(digits)
    np.testing.assert_array_equal(model.transform(digits), mean)
    assert (deviation > 0).all()
    np.testing.assert_array_equal(model.sample(5, random_state=1), model.sample(5, random_state=1))
    assert (model.sample(5, random_state=1) != model.sample(5, random_state=2)).any()


# D3, D4
def test_more_beta_less_information(digits):
    information, deviations = [], []
    for beta in (0.0, 1.0, 4.0):
        model = VariationalAutoencoder(latent_dim=8, beta=beta, epochs=60, random_state=0)
        information.append(model.fit(digits).unit_divergences_.sum())
        deviations.append(model.posterior(digits)[1].mean())
    assert information == sorted(information, reverse=True)
    assert deviations == sorted(deviations)


# D17
def test_importance_weights_tighten_the_bound(digits):
    model = VariationalAutoencoder(latent_dim=4, variance="learned", epochs=60, random_state=0)
    model.fit(digits)
    bounds = [model.log_likelihood(digits, n, random_state=0).mean() for n in (1, 8, 64)]
    assert bounds == sorted(bounds)
    elbo = clone(model).set_params(score_method="elbo", n_draws=64).fit(digits)
    assert bounds[0] == pytest.approx(elbo.score(digits) * 64, abs=3.0)


def test_warm_up_raises_the_weight_of_the_divergence(digits):
    model = VariationalAutoencoder(beta=2.0, warmup=4, epochs=20, random_state=0).fit(digits[:100])
    weights = [model.model_.objective.at(epoch).beta for epoch in range(6)]
    assert weights == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_jacobian_norm_of_a_linear_map_is_its_matrix():
    W, x = torch.randn(5, 3, generator=seeded(0)), torch.ones(1, 2, 5, requires_grad=True)
    torch.testing.assert_close(jacobian_norm(x @ W, x), W.square().sum().expand(1, 2))


@pytest.mark.parametrize("activation", [n for n, a in ACTIVATIONS.items() if a.slope])
@pytest.mark.parametrize("hidden", [(), (6,), (6, 4)])
@pytest.mark.parametrize("code", ["identity", "tanh"])
# C20
def test_jacobian_as_a_product_equals_autograds(hidden, activation, code):
    network = Dense(hidden=hidden, activation=activation, code_activation=code)
    net = network.build(5, 3, [seeded(0), seeded(1)])
    x = torch.randn(2, 7, 5, generator=seeded(2)).requires_grad_()
    u = torch.randn(2, 7, 3, generator=seeded(3))
    factors, z = factors_of(net, x)
    norm, expected = norm_of_product(factors).expand(2, 7), jacobian_norm(z, x)
    torch.testing.assert_close(norm, expected)
    for ours, theirs in zip(
        torch.autograd.grad(norm.sum(), net.encoder.parameters(), retain_graph=True),
        torch.autograd.grad(expected.sum(), net.encoder.parameters(), retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(row_times_product(u, factors), pullback(z, x, u).square().sum(-1))


def test_a_fitted_model_still_knows_of_gaps(digits):
    model = VariationalAutoencoder(latent_dim=3, epochs=3, random_state=0).fit(digits[:100])
    gappy = digits[:5].copy()
    gappy[:, ::2] = np.nan
    assert np.isfinite(model.log_likelihood(gappy, n_draws=2, random_state=0)).all()
