"""Features of images by a torch module of the user's, such as a pre-trained backbone."""

from functools import partial
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import avg_pool2d, interpolate

from ..params import Count, Params, Positive
from .windows import images_of


class TorchFeatures(TransformerMixin, Params):
    """Run images through a torch module, and return what its layers say of each place.

    Feature maps are averaged over 3 x 3 places, those of deeper layers are enlarged to the grid of
    the first one, and all are joined (Roth et al., 2022). The vectors are "images" of many channels
    for `PatchDetector` with ``size=1``. As the paper's PatchCore does, ``KernelAutoencoder`` keeps
    a coreset of them: `max_items` far apart from each other. For one vector an image, such as
    average pooling gives, `PCADetector` is the better detector.

    With torchvision, which is not needed otherwise, and images of three channels from 0 to 1::

        backbone = torchvision.models.wide_resnet50_2(weights="IMAGENET1K_V1")
        detector = make_pipeline(
            TorchFeatures(
                module=backbone,
                layer=("layer2", "layer3"),
                mean=(0.485, 0.456, 0.406),
                std=(0.229, 0.224, 0.225),
            ),
            PatchDetector(
                estimator=KernelAutoencoder(max_items=2000), size=1, smoothing=1, max_patches=20000
            ),
        )

    Parameters
    ----------
    module : torch.nn.Module
        Takes a batch (n, channels, height, width). It is run as for inference, without gradients,
        where its weights are and in their precision, and is left as it was. Nothing is downloaded.
    layer : str or tuple of str
        Names of layers in it, as ``module.named_modules()`` gives them, with outputs (n, channels,
        height, width).
    mean, std : tuple of float, default=None
        What to subtract from each channel, and to divide by after that; None: 0 and 1. Images of
        one channel are repeated where there are more.
    batch_size : int, default=32
        Images run at a time, which bounds the memory of the module; the features of all are kept.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from aedetect import TorchFeatures
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, stride=2), torch.nn.ReLU())
    >>> features = TorchFeatures(module=module, layer="1")
    >>> features.fit_transform(np.zeros((5, 9, 9))).shape
    (5, 4, 4, 4)
    """

    module: Module
    layer: str | tuple[str, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[Positive, ...] | None = None
    batch_size: Count = 32

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check parameters; there is nothing to learn.

        Parameters
        ----------
        X : array-like of shape (n, height, width) or (n, height, width, channels)
            Images.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
        """
        self._check_params()
        self._layers()
        images_of(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features of images.

        Parameters
        ----------
        X : array-like of shape (n, height, width) or (n, height, width, channels)
            Images.

        Returns
        -------
        ndarray of shape (n, rows, columns, features), float32
            Of the grid of the first layer.

        Raises
        ------
        ValueError
            If the module has no such layer, or its output is no batch of feature maps.
        """
        self._check_params()
        images = images_of(X).astype(np.float32, copy=False)
        channels = images.shape[3]
        for name in ("mean", "std"):
            values = getattr(self, name) or (0,)
            if not np.isfinite(values).all():
                raise ValueError(f"{name}={values}; expected finite numbers.")
            if len(values) != channels and 1 not in (len(values), channels):
                raise ValueError(f"{name} has {len(values)} values for {channels} channels.")
            channels = max(channels, len(values))  # grey ones are repeated
        parts = [
            self._features(images[i : i + self.batch_size])
            for i in range(0, len(images), self.batch_size)
        ]
        return np.concatenate(parts)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    def _layers(self) -> dict[str, Module]:
        names = (self.layer,) if isinstance(self.layer, str) else tuple(self.layer)
        if not names:
            raise ValueError("layer=() names no layer of module.")
        modules = dict(self.module.named_modules())
        if missing := [name for name in names if name not in modules or not name]:
            known = ", ".join(list(modules)[1:20])
            raise ValueError(f"layer={missing[0]!r} is not in module; there are {known}.")
        return {name: modules[name] for name in names}

    def _features(self, images: np.ndarray) -> np.ndarray:
        found: dict[str, Tensor] = {}
        hooks = [
            layer.register_forward_hook(partial(_keep, found, name))
            for name, layer in self._layers().items()
        ]
        modes = [(part, part.training) for part in self.module.modules()]
        try:
            self.module.eval()
            with torch.no_grad():
                self.module(self._batch(images))
        finally:
            for hook in hooks:
                hook.remove()
            for part, training in modes:
                part.training = training
        if unused := [name for name in self._layers() if name not in found]:
            raise ValueError(f"layer={unused[0]!r} is in module, which does not run it.")
        maps = [found[name] for name in self._layers()]
        grid = maps[0].shape[2:]
        joined = torch.cat([interpolate(m, grid, mode="bilinear") for m in maps], dim=1)
        return joined.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def _batch(self, images: np.ndarray) -> Tensor:
        """A batch (n, channels, height, width), scaled, where the module's weights are."""
        weights = (w for w in self.module.state_dict().values() if w.is_floating_point())
        like = next(weights, torch.zeros(0))
        x = torch.tensor(images, device=like.device).permute(0, 3, 1, 2)
        mean, std = (x.new_tensor(v)[:, None, None] for v in (self.mean or (0,), self.std or (1,)))
        return ((x - mean) / std).to(like.dtype)


def _keep(found: dict[str, Tensor], name: str, _module: Module, _given: Any, output: Any) -> None:
    """Average at once, as the next layer may write into the output."""
    if name in found:
        raise ValueError(f"layer={name!r} runs several times; name one around it.")
    found[name] = _averaged(name, output)


def _averaged(name: str, maps: Any) -> Tensor:
    """The mean over 3 x 3 places; at the edges over those there are."""
    if not isinstance(maps, Tensor) or maps.ndim != 4:
        told = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(
            f"layer={name!r} returned {told}; expected feature maps (n, channels, height, width)."
        )
    return avg_pool2d(maps.float(), 3, stride=1, padding=1, count_include_pad=False)
