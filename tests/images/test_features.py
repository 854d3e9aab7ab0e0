"""TorchFeatures: what layers say, in batches, without a trace in the module."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from torch import nn

from aedetect import KernelAutoencoder, PatchDetector, TorchFeatures, save


@pytest.fixture
def module():
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global one
        first, second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1)
    deeper = nn.Sequential(second, nn.BatchNorm2d(16), nn.Dropout(0.5))
    net = nn.Sequential(first, nn.ReLU(), deeper, nn.Flatten())
    with torch.no_grad():
        for weights in net.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator) / 3)
    return net


def test_features_are_those_of_the_layer_averaged_over_neighbours(module, rng):
    X = rng.normal(size=(3, 10, 12)).astype(np.float32)
    found = TorchFeatures(module=module, layer="1").fit_transform(X)
    with torch.no_grad():
        maps = module[:2](torch.from_numpy(X)[:, None]).numpy()
    assert found.shape == (3, 10, 12, 8)
    inner = uniform_filter(maps, (0, 0, 3, 3)).transpose(0, 2, 3, 1)[:, 1:-1, 1:-1]
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], inner, atol=1e-5)
    np.testing.assert_allclose(found[:, 0, 0], maps[:, :, :2, :2].mean((2, 3)), atol=1e-5)


def test_deeper_layers_are_enlarged_to_the_first_grid(module, rng):
    X = rng.normal(size=(2, 10, 12))
    both = TorchFeatures(module=module, layer=("1", "2")).transform(X)
    alone = [TorchFeatures(module=module, layer=name).transform(X) for name in "12"]
    assert both.shape == (2, 10, 12, 24)
    np.testing.assert_array_equal(both[..., :8], alone[0])
    corner = both[:, 0, 0, 8:]  # bilinear: at the corner that of the nearest place alone
    np.testing.assert_allclose(corner, alone[1][:, 0, 0], atol=1e-5)


def test_batches_change_nothing_and_bound_what_is_run_at_once(module, rng):
    X = rng.normal(size=(7, 10, 12))
    sizes = []
    hook = module.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    small = TorchFeatures(module=module, layer="2", batch_size=3).transform(X)
    assert sizes == [3, 3, 1]
    hook.remove()
    whole = TorchFeatures(module=module, layer="2").transform(X)
    np.testing.assert_allclose(small, whole, atol=1e-5)


def test_the_module_is_left_as_it_was(module, rng):
    module[2].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    features = TorchFeatures(module=module, layer="2")
    first, second = (features.transform(rng.normal(size=(2, 10, 12)) * 0 + 1) for _ in range(2))
    np.testing.assert_array_equal(first, second)  # no dropout
    assert [part.training for part in module.modules()] == modes
    assert not any(part._forward_hooks for part in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_channels_are_scaled_as_told_and_grey_is_repeated(rng):
    module = nn.Sequential(nn.Identity())
    X = rng.normal(size=(2, 5, 5))
    mean, std = (1.0, 2.0, 3.0), (2.0, 4.0, 8.0)
    found = TorchFeatures(module=module, layer="0", mean=mean, std=std).transform(X)
    plain = TorchFeatures(module=module, layer="0").transform(X)
    np.testing.assert_allclose(found, (plain - mean) / std, atol=1e-6)


def test_a_coreset_of_features_finds_another_texture(module, rng):
    across = np.sin(np.arange(24)) + rng.normal(0, 0.1, (30, 24, 24))
    down = across.transpose(0, 2, 1)
    odd = across[20:].copy()
    odd[:, 6:14, 6:14] = down[20:, 6:14, 6:14]
    detector = make_pipeline(
        TorchFeatures(module=module, layer=("1", "2")),
        PatchDetector(
            estimator=KernelAutoencoder(max_items=200, random_state=0),
            size=1,
            smoothing=1,
            max_patches=2000,
            random_state=0,
        ),
    ).fit(across[:20])
    scores = detector.score_samples(np.concatenate([across[20:], odd]))
    assert roc_auc_score(np.repeat([1, 0], 10), scores) == 1
    maps = detector[-1].error_maps(detector[:-1].transform(odd))
    inside = np.zeros((24, 24), bool)
    inside[6:14, 6:14] = True
    assert roc_auc_score(np.tile(inside, (10, 1, 1)).ravel(), maps.ravel()) > 0.9
    assert len(detector[-1].estimator_.items_) == 200


def test_a_layer_is_read_before_the_next_one_writes_into_it(rng):
    module = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
    X = rng.normal(size=(2, 5, 5))
    found = TorchFeatures(module=module, layer="0").transform(X)
    np.testing.assert_allclose(found[:, 1, 1, 0], X[:, :3, :3].mean((1, 2)), atol=1e-6)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_modules_run_in_the_precision_of_their_weights(precision, module, rng):
    X = rng.normal(size=(2, 10, 12))
    single = TorchFeatures(module=module, layer="2").transform(X)
    found = TorchFeatures(module=module.to(precision), layer="2").transform(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, single, atol=0.1)


def test_nothing_stays_in_a_module_that_fails(module):
    with pytest.raises(RuntimeError, match="channels"):
        TorchFeatures(module=module.train(), layer="1").transform(np.zeros((2, 10, 12, 3)))
    assert all(part.training for part in module.modules())
    assert not any(part._forward_hooks for part in module.modules())


def test_scales_of_other_channels_and_layers_that_do_not_run_are_refused(module):
    X = np.zeros((2, 10, 12, 2))
    with pytest.raises(ValueError, match="mean has 3 values for 2 channels"):
        TorchFeatures(module=module, layer="1", mean=(0.0, 0.0, 0.0)).transform(X)
    with pytest.raises(ValueError, match="std has 2 values for 3 channels"):
        TorchFeatures(module=module, layer="1", mean=(0.0,) * 3, std=(1.0, 1.0)).transform(
            X[..., :1]
        )
    with pytest.raises(ValueError, match=r"mean=\(nan,\); expected finite"):
        TorchFeatures(module=module, layer="1", mean=(np.nan,)).transform(X)
    with pytest.raises(TypeError, match=r"std=\(0.0,\); expected"):
        TorchFeatures(module=module, layer="1", std=(0.0,)).transform(X)
    with pytest.raises(ValueError, match=r"layer=\(\) names no layer"):
        TorchFeatures(module=module, layer=()).fit(X)
    module.spare = nn.Identity()
    module.forward = module[0].forward
    with pytest.raises(ValueError, match="layer='spare' is in module, which does not run it"):
        TorchFeatures(module=module, layer="spare").transform(X[..., 0])


def test_a_layer_that_runs_twice_is_refused(module):
    twice = nn.Sequential(module[0], module[1], nn.Identity(), module[1])
    with pytest.raises(ValueError, match="layer='1' runs several times"):
        TorchFeatures(module=twice, layer="1").transform(np.zeros((2, 10, 12)))


def test_a_file_without_code_holds_no_module(module, tmp_path):
    with pytest.raises(TypeError, match="TorchFeatures is no estimator that a file without code"):
        save(TorchFeatures(module=module, layer="1"), tmp_path / "model")


@pytest.mark.parametrize("layer", ["layer9", "", ("1", "layer9")])
def test_layers_that_are_not_there_are_named(layer, module):
    with pytest.raises(ValueError, match="is not in module; there are 0, 1, 2"):
        TorchFeatures(module=module, layer=layer).fit(np.zeros((2, 10, 12)))


def test_outputs_that_are_no_maps_are_refused(module):
    with pytest.raises(ValueError, match=r"layer='3' returned \(2, 480\); expected feature maps"):
        TorchFeatures(module=module, layer="3").transform(np.zeros((2, 10, 12)))
    with pytest.raises(TypeError, match="module=None; expected Module"):
        TorchFeatures(module=None, layer="3").fit(np.zeros((2, 10, 12)))


def test_it_can_be_cloned_and_shown(module):
    features = clone(TorchFeatures(module=module, layer="1"))
    assert features.layer == "1"
    assert "layer='1'" in repr(features)
