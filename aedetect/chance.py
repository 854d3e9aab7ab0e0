"""Where all randomness comes from: a generator for each model."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


def seeded(random_state: int | np.random.RandomState | None) -> torch.Generator:
    """Return a generator of its own; the global random state is neither read nor written.

    None takes fresh entropy from the operating system; a ``RandomState`` is drawn from once.
    """
    generator = torch.Generator(device="cpu")
    if random_state is None:
        generator.seed()
    elif isinstance(random_state, np.random.RandomState):
        generator.manual_seed(int(random_state.randint(2**31 - 1)))
    else:
        if not -(2**63) <= random_state < 2**64:
            raise ValueError(f"random_state={random_state}; expected an integer of 64 bits.")
        generator.manual_seed(int(random_state))
    return generator


RandomFunction = Callable[[Tensor, torch.Generator], Tensor]


def per_model(
    function: RandomFunction | Sequence[RandomFunction],
    x: Tensor,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Apply random functions, one or K, to the parts of `x` (K, ...), each with its generator."""
    functions = function if isinstance(function, Sequence) else [function] * len(x)
    return torch.stack([f(*part) for f, *part in zip(functions, x, generators, strict=True)])


def normal(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal values in the shape of `x`."""
    drawn = torch.empty(x.shape, dtype=x.dtype, device="cpu")
    return drawn.normal_(generator=generator).to(x.device)
