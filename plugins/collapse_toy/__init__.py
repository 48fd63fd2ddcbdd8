"""The toys, where theory is exact: a categorical distribution and a Gaussian."""
