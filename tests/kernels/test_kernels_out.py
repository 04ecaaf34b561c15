"""The tensor is the same whether it goes into `out` or into new memory, whatever the frame's type."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import GrayscaleTransform, ResamplePlan, frame_to_tensor


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_out_takes_what_would_be_returned(dtype: str) -> None:
    frame = np.random.default_rng(5).integers(0, 120, (37, 29)).astype(dtype)
    transform = GrayscaleTransform.window(60, 80, bits_stored=16, invert=True)
    plan = ResamplePlan((37, 29), (16, 12))
    out = np.full((1, 1, 16, 12), np.nan, np.float32)
    returned = frame_to_tensor(frame, transform, plan, out=out)
    assert returned is out
    np.testing.assert_array_equal(out, frame_to_tensor(frame, transform, plan))
    assert 0 <= out.min() < out.max() <= 1
