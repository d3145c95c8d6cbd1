"""Stage 2 of `method="scen"`: indexing neurons in closed form, and their calibration.

The mean of the hidden state over the question's tokens is centred, whitened and reduced to `dim` dimensions, all learned
from prompts that no edit is about. Whitening takes away what all prompts share, which in raw features drowns what tells
them apart. The neuron of an edit is the unit vector of its own prompt there, and its score is a cosine. Nothing is trained;
a threshold, set on held-out prompts to a stated rate of false activations, decides from which score on a neuron fires.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional


# Share of the mean variance that is added to each direction's own before it is scaled to one.
_SHRINKAGE = 0.1


@dataclass(frozen=True)
class FeatureTransform:
    """Pooled features to the space of the neurons: `normalize((f - mean) @ projection)`.

    Args:
        mean: `(num_features,)`, float32.
        projection: `(num_features, dim)`, float32.
    """

    mean: torch.Tensor
    projection: torch.Tensor

    def __call__(self, pooled: torch.Tensor) -> torch.Tensor:
        """`(rows, num_features)` to unit vectors `(rows, dim)`."""
        return functional.normalize((pooled - self.mean) @ self.projection, dim=-1)


def fit_whitening(pooled: torch.Tensor, dim: int) -> FeatureTransform:
    """Learn the transform from pooled features of prompts that no edit is about.

    The `dim` principal directions with the largest variance, each scaled to unit variance; the variances are shrunk towards
    their mean (Ledoit and Wolf, 2004), as the small ones are hardly known from so few prompts.

    Args:
        pooled: `(prompts, num_features)`, float32, of more prompts than `dim`.
        dim: Dimensions to keep; fewer if there are fewer features.
    """
    dim = min(dim, pooled.shape[1], pooled.shape[0] - 1)
    mean = pooled.mean(0)
    _, singular, directions = torch.linalg.svd(pooled - mean, full_matrices=False)
    variances = singular[:dim] ** 2 / (len(pooled) - 1)
    scale = (variances + _SHRINKAGE * variances.mean()).rsqrt()
    return FeatureTransform(mean, directions[:dim].T * scale)


def calibrated_threshold(
    neurons: torch.Tensor, others: torch.Tensor, false_activation_rate: float, margin: float = 0.02
) -> float:
    """The score that at most `false_activation_rate` of held-out prompts reach on any neuron.

    Args:
        neurons: `(num_edits, dim)` unit vectors.
        others: `(prompts, dim)` unit vectors of prompts that no edit is about.
        false_activation_rate: Share of them that may fire.
        margin: Added, since the highest of a few thousand scores is still below the highest of all prompts.
    """
    highest = torch.cat([(part @ neurons.T).amax(1) for part in others.split(1024)]).sort(descending=True).values
    allowed = int(false_activation_rate * len(highest))
    return min(float(highest[allowed]) + margin, 1.0)
