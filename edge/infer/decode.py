"""Pixel data to one frame of stored values, within bounds that hold before anything is allocated.

Comes in: a parsed header and its pixel data (PS3.5 section 8 and annex A). Goes out: a `Frame`. RLE is done by our own
kernel, every other syntax that it knows by imagecodecs; pydicom's plugins are the fallback. Runs in the worker process
only: codecs may crash there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom.encaps import generate_frames, get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from edge.infer import codecs, codestream
from edge.infer.colour import interleaved, to_rgb
from edge.infer.header import EXPLICIT_VR_BIG_ENDIAN, Header, pixel_value
from edge.infer.pixels import Array, Frame, Pixels
from edge.infer.refusal import Refusal
from kernels import rle_decode

RLE_LOSSLESS = "1.2.840.10008.1.2.5"
_GE_PRIVATE_BIG_ENDIAN = "1.2.840.113619.5.2"


def decode(header: Header, pixels: Pixels, transfer_syntax_uid: str, *, max_bytes: int) -> Frame:
    """The first frame of the image.

    Raises
    ------
    Refusal
        `no-pixel-data`, `unsupported-pixels`, `too-large` (a frame of more than `max_bytes`) or `undecodable`.
    """
    return next(frames(header, pixels, transfer_syntax_uid, max_bytes=max_bytes))


def frames(header: Header, pixels: Pixels, transfer_syntax_uid: str, *, max_bytes: int) -> Iterator[Frame]:
    """Every frame of the image, one after the other. Raises as `decode`."""
    if header.pixel_keyword not in ("", "PixelData"):
        raise Refusal("unsupported-pixels", "floating point pixels are not taken")
    if pixels.frame_bytes > max_bytes:
        raise Refusal("too-large", "the frame is larger than the box decodes")
    value, encapsulated = pixel_value(header)
    parts = _parts(value, pixels) if encapsulated else iter(())
    for index in range(pixels.number_of_frames):
        try:
            if encapsulated:
                frame = _compressed(bytes(next(parts)), pixels, transfer_syntax_uid)
            else:
                frame = _native(value, pixels, transfer_syntax_uid, header, index)
            yield _corrected(frame, pixels)
        except (Refusal, MemoryError, GeneratorExit):
            raise
        except Exception:  # noqa: BLE001 - decoders raise anything, and their texts may hold received values
            raise Refusal("undecodable", "the pixel data cannot be decoded") from None


def _parts(value: memoryview, pixels: Pixels) -> Iterator[bytes]:
    """The compressed frames. Of one frame all fragments are its own, whatever the offset table says."""
    if pixels.number_of_frames == 1:
        yield get_frame(bytes(value), 0, number_of_frames=1)
    else:
        yield from generate_frames(bytes(value), number_of_frames=pixels.number_of_frames)


def _native(value: memoryview, pixels: Pixels, transfer_syntax_uid: str, header: Header, index: int) -> Frame:
    samples = pixels.rows * pixels.columns * pixels.samples_per_pixel
    if pixels.bits_allocated == 1:
        return _bits(value, pixels, index * samples)
    stored_samples = samples // 3 * 2 if pixels.is_subsampled else samples
    begin = index * stored_samples * pixels.itemsize
    end = begin + stored_samples * pixels.itemsize
    if end > len(value):
        raise Refusal("undecodable", "the pixel data is shorter than Rows and Columns say")
    big = transfer_syntax_uid in (EXPLICIT_VR_BIG_ENDIAN, _GE_PRIVATE_BIG_ENDIAN)
    if big and pixels.itemsize == 1 and header.pixel_vr == "OW":
        # big endian bytes that were written as words are swapped in pairs (PS3.5 8.2.1)
        words = np.frombuffer(value, "<u2", len(value) // 2)
        value = memoryview(words.byteswap().tobytes())
    order = ">" if big else "<"
    kind = "i" if pixels.pixel_representation == 1 else "u"
    flat = np.frombuffer(value, f"{order}{kind}{pixels.itemsize}", stored_samples, begin)
    if big:
        flat = flat.astype(flat.dtype.newbyteorder("="))
    return to_rgb(interleaved(flat, pixels), pixels.photometric_interpretation)


def _bits(value: memoryview, pixels: Pixels, first: int) -> Frame:
    count = pixels.rows * pixels.columns * pixels.samples_per_pixel
    start, end = first // 8, (first + count + 7) // 8
    if end > len(value):
        raise Refusal("undecodable", "the pixel data is shorter than Rows and Columns say")
    bits = np.unpackbits(np.frombuffer(value, np.uint8, end - start, start), bitorder="little")
    return to_rgb(interleaved(bits[first % 8 : first % 8 + count], pixels), pixels.photometric_interpretation)


def _compressed(data: bytes, pixels: Pixels, transfer_syntax_uid: str) -> Frame:
    if transfer_syntax_uid == RLE_LOSSLESS:
        shape = (pixels.rows, pixels.columns) + ((pixels.samples_per_pixel,) if pixels.samples_per_pixel > 1 else ())
        array = rle_decode(data, shape, f"{'i' if pixels.pixel_representation else 'u'}{pixels.itemsize}")
        return to_rgb(array, pixels.photometric_interpretation)
    stream = codestream.describe(data)
    if stream is not None:
        _compare(stream, data, pixels)
    decoder = codecs.DECODERS.get(transfer_syntax_uid)
    if decoder is None:
        return _by_pydicom(data, pixels, transfer_syntax_uid)
    try:
        array = decoder(data)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - then perhaps another decoder knows it
        return _by_pydicom(data, pixels, transfer_syntax_uid)
    return _shaped(array, pixels, stream)


def _compare(stream: codestream.Codestream, data: bytes, pixels: Pixels) -> None:
    if not codestream.is_whole(data):
        raise Refusal("undecodable", "the codestream is cut off")
    if (stream.rows, stream.columns, stream.samples) != (pixels.rows, pixels.columns, pixels.samples_per_pixel):
        raise Refusal("undecodable", "the codestream has another size than Rows and Columns say")


def _shaped(array: Array, pixels: Pixels, stream: codestream.Codestream | None) -> Frame:
    shape = (pixels.rows, pixels.columns) + ((3,) if pixels.samples_per_pixel == 3 else ())
    if array.shape != shape:
        raise Refusal("undecodable", "the decoded frame has another size than Rows and Columns say")
    if pixels.pixel_representation == 1:
        bits = min(stream.precision, pixels.bits_allocated) if stream else pixels.bits_stored
        array = _sign_extended(array, bits, pixels.itemsize)
    elif array.dtype.kind == "i":
        array = array.view(array.dtype.str.replace("i", "u"))
    # codecs hand colours over as RGB whatever the Photometric Interpretation of the codestream was
    photometric = "RGB" if pixels.samples_per_pixel == 3 else pixels.photometric_interpretation
    return Frame(array, photometric)


def _by_pydicom(data: bytes, pixels: Pixels, transfer_syntax_uid: str) -> Frame:
    decoder = get_decoder(UID(transfer_syntax_uid))
    array, after = decoder.as_array(
        _one_fragment(data),
        index=0,
        rows=pixels.rows,
        columns=pixels.columns,
        number_of_frames=1,
        samples_per_pixel=pixels.samples_per_pixel,
        bits_allocated=pixels.bits_allocated,
        bits_stored=pixels.bits_stored,
        pixel_representation=pixels.pixel_representation,
        photometric_interpretation=pixels.photometric_interpretation,
        planar_configuration=pixels.planar_configuration,
        pixel_keyword="PixelData",
    )
    return Frame(array, str(after["photometric_interpretation"]))


def _one_fragment(data: bytes) -> bytes:
    padded = data + b"\0" * (len(data) % 2)
    item = b"\xfe\xff\x00\xe0"
    return item + bytes(4) + item + len(padded).to_bytes(4, "little") + padded + b"\xfe\xff\xdd\xe0" + bytes(4)


def _corrected(frame: Frame, pixels: Pixels) -> Frame:
    """Bits above BitsStored are not part of the value (overlays were kept there once)."""
    array, spare = frame.array, pixels.bits_allocated - pixels.bits_stored
    if spare == 0 or array.dtype.kind not in "ui" or pixels.high_bit != pixels.bits_stored - 1:
        return frame
    if pixels.pixel_representation == 1:
        return Frame(_sign_extended(array, pixels.bits_stored, pixels.itemsize), frame.photometric_interpretation)
    if int(array.max()) >> pixels.bits_stored:
        array = array & array.dtype.type((1 << pixels.bits_stored) - 1)
    return Frame(array, frame.photometric_interpretation)


def _sign_extended(array: Array, bits: int, itemsize: int) -> Array:
    """Two's complement of `bits` bits as signed numbers of `itemsize` bytes."""
    signed = array.astype(f"i{itemsize}", copy=False)
    spare = itemsize * 8 - bits
    return signed if spare <= 0 else (signed << spare) >> spare
