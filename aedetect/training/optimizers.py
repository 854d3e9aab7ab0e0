"""Steps against the gradient, for K models in one buffer."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .flat import Flat


def make_step(
    name: str, flat: Flat, *, learning_rate: Sequence[float], weight_decay: Sequence[float]
) -> Callable[[], object]:
    """Return the function that moves ``flat.values`` against ``flat.gradient`` once.

    The optimizer's update at rate 1 goes into a buffer, which is added to the parameters, times
    each model's own learning rate. The arithmetic is the same for any number of models.

    Parameters
    ----------
    name : str
        Name of the optimizer.
    flat : Flat
        What to move.
    learning_rate, weight_decay : sequence of K float
        One a model.
    """
    move = torch.zeros_like(flat.values)
    update = _optimizer(name, move, flat.gradient)
    rates, decays = flat.spread(learning_rate), flat.spread(weight_decay)
    decayed, decoupled = bool(decays.any()), name == "adamw"
    kept = 1 - rates * decays

    def step() -> None:
        if decayed and decoupled:  # Loshchilov & Hutter, 2019
            flat.values.mul_(kept)
        elif decayed:
            flat.gradient.addcmul_(flat.values, decays)
        update()
        flat.values.addcmul_(move, rates)

    return step


def _optimizer(name: str, move: Tensor, gradient: Tensor) -> Callable[[], object]:
    """Return the function that sets `move` to the optimizer's update at a rate of 1."""
    if name in ("adam", "adamw") and hasattr(torch, "_fused_adamw_"):
        return _fused_adam(move, gradient)
    move.grad = gradient
    if name == "rmsprop":
        optimizer: torch.optim.Optimizer = torch.optim.RMSprop([move], lr=1)
    elif name == "sgd":
        optimizer = torch.optim.SGD([move], lr=1, momentum=0.9, nesterov=True)
    else:
        optimizer = torch.optim.Adam([move], lr=1)

    def update() -> None:
        move.zero_()
        optimizer.step()

    return update


def _fused_adam(move: Tensor, gradient: Tensor) -> Callable[[], object]:
    """The kernel of torch.optim.AdamW(fused=True) without that class's bookkeeping.

    At these sizes that costs several times the arithmetic. A decay of 1 at a rate of 1 takes away
    what `move` held, so that Adam's update (Kingma & Ba, 2015) is all it holds then.
    """
    kernel: Callable[..., None] = torch._fused_adamw_
    count = torch.zeros((), device=move.device, dtype=torch.float32)
    moments = [[torch.zeros_like(move)], [torch.zeros_like(move)]]
    options = {"lr": 1.0, "weight_decay": 1.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    options |= {"amsgrad": False, "maximize": False}

    def step() -> None:
        count.add_(1)
        kernel([move], [gradient], *moments, [], [count], **options)

    return step
