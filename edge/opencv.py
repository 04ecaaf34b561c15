"""OpenCV, and nothing else of it anywhere: picture files in and out.

For files that a user names on his own command line (JPEG, PNG); pixel data of received DICOM objects is decoded by
`edge.infer.codecs`. Raises `BadObject`, never cv2's own errors.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import BadObject


def decode_gray(data: bytes) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """A JPEG or PNG file as gray (rows, columns): 16-bit PNG stays uint16, all else is uint8.

    Raises
    ------
    BadObject
        If it is no picture that OpenCV knows.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise BadObject("the file is no picture that can be read", hint="give a JPEG, PNG or DICOM file")
    return np.ascontiguousarray(image)  # type: ignore[return-value]


def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    """A (rows, columns) or (rows, columns, 3: red, green, blue) uint8 image as a PNG file."""
    shown = image if image.ndim == 2 else image[:, :, ::-1]
    done, data = cv2.imencode(".png", np.ascontiguousarray(shown))
    if not done:
        raise BadObject("the image cannot be written as PNG", hint="give 8-bit pixels")
    return data.tobytes()
