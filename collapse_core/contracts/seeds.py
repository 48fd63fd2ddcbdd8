"""Seeds derived from names, so that no draw depends on the draws before it."""

import hashlib

SEED_BITS = 63


def derive_seed(run_seed: int, *parts: int | str) -> int:
    """Derive an independent seed for one draw from the seed of the run and the draw's coordinates.

    The same arguments give the same seed on every machine and in every process; different ones give
    seeds that are unrelated (SHA-256 of the arguments' canonical text).

    Args:
        run_seed: The seed of the whole run.
        *parts: What identifies the draw, such as the iteration, a prompt's id, a completion's number.

    Returns:
        A non-negative integer of 63 bits, which every generator in use accepts.
    """
    text = repr((run_seed, *parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> (64 - SEED_BITS)
