"""How far two sets of feature vectors are apart."""

from typing import Any

import torch


def frechet_distance(some: torch.Tensor, others: torch.Tensor) -> float:
    """Compute the squared Frechet distance of Gaussians fitted to features (Heusel et al., arXiv 1706.08500).

    d^2 = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), with unbiased covariances. The trace of the root is
    the sum of the singular values of C1^(1/2) C2^(1/2).

    Args:
        some: Of shape (n, features), float64.
        others: Of shape (m, features), float64.
    """
    roots = [_root(torch.cov(features.T)) for features in (some, others)]
    traces = sum(root.square().sum() for root in roots)
    overlap = torch.linalg.svdvals(roots[0] @ roots[1]).sum()
    return float((some.mean(0) - others.mean(0)).square().sum() + traces - 2 * overlap)


def _root(covariance: torch.Tensor) -> Any:
    """Return the symmetric square root of a positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def kernel_distance(some: torch.Tensor, others: torch.Tensor) -> float:
    """Return the kernel inception distance: the unbiased squared MMD with (x.y / d + 1)^3.

    Binkowski et al., arXiv 1801.01401, section 4; it can be negative. Of all vectors at once, not of subsets.

    Args:
        some: Of shape (n, d), float64, n at least 2.
        others: Of shape (m, d), float64, m at least 2.
    """

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a: torch.Tensor) -> torch.Tensor:
        similar = kernel(a, a)
        return (similar.sum() - similar.diagonal().sum()) / (len(a) * (len(a) - 1))

    return float(within(some) + within(others) - 2 * kernel(some, others).mean())


def mean_pairwise_distance(features: torch.Tensor) -> float:
    """Return the mean Euclidean distance between two different rows; 0 of fewer than two."""
    return float(torch.pdist(features).mean()) if len(features) > 1 else 0.0
