"""How close two arrays of float32 must be: by the size of what is compared, so that a test holds on every processor."""

from typing import Any

import numpy as np


def close(got: Any, wanted: Any, rtol: float = 1e-5, err_msg: str = "") -> None:
    """Assert that no element differs by more than `rtol` times the largest magnitude in `wanted`.

    A sum of n products of float32 is off by about sqrt(n) * 6e-8 of the size of its terms. By how much exactly depends on the
    order of the sum, so on the processor's vector width. Where large terms cancel, a small element is off by as much as its
    neighbours: there is one bound for the array. The default is ten times the rounding of a recurrence of some steps, and still
    sees a factor of 1.0001; a single product stays within 2e-6.
    """
    wanted = np.asarray(wanted)
    size = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=rtol * size, err_msg=err_msg)
