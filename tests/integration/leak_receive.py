"""What the room keeps of associations that ended: `python tests/integration/leak_receive.py --associations 100000`.

Polite ones with C-ECHO, new objects, re-sends; aborted, broken and refused ones, in turn. Memory is what the
process has for itself alone (RssAnon), after a warm-up of the same mix. Prints figures; exit code 1 where it grew.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from receiver import Raw, Receiver, ct_image, pdv, store_command

from edge import dimse

MOST_MIB = 1.0
WARM_UP = 500
_FILLING = 2000
"""New objects until the journal's page cache, 2 MiB and no more, is full; a short run brings too few to matter."""


def associate(receiver: Receiver, number: int) -> None:
    """One association of the mix."""
    kind = number % 10
    calling = "STRANGER" if kind == 9 else "TEST"
    with Raw(receiver.port) as peer:
        if kind == 8:
            peer.send(b"\x01\0\0\0\0\4none")
            peer.answer()
            return
        assert peer.associate(calling=calling)[0] == (dimse.ASSOCIATE_RJ if kind == 9 else dimse.ASSOCIATE_AC)
        if kind < 4:
            assert peer.echo() == 0
        elif kind < 6:
            instance = f"1.2.{number if number % 100 == 4 else 7}"
            assert peer.store(ct_image(instance, pixels=20_000), instance) == 0
        elif kind == 6:
            peer.send(store_command("1.2.8") + pdv(3, 0, ct_image("1.2.8")))
            peer.send(dimse.pdu(dimse.ABORT, bytes(4)))
            return
        elif kind == 7:
            peer.send(pdv(77, 3, b"a context that nobody offered"))
            assert peer.answer()[0] == dimse.ABORT
            return
        if kind != 9:
            peer.release()


def leak(folder: Path, associations: int) -> dict[str, float]:
    """How much memory the room has more after `associations` than after the warm-up, in MiB."""
    receiver = Receiver(folder).spawn()
    try:
        if associations > _FILLING:
            _fill(receiver)
        for number in range(WARM_UP):
            associate(receiver, number)
        before, began = receiver.own_mib(), time.monotonic()
        for number in range(WARM_UP, WARM_UP + associations):
            associate(receiver, number)
        seconds = time.monotonic() - began
        grown = receiver.own_mib() - before
    finally:
        receiver.stop()
    return {"associations": associations, "MiB before": before, "MiB more": grown, "seconds": round(seconds, 1)}


def _fill(receiver: Receiver) -> None:
    with Raw(receiver.port) as peer:
        peer.associate()
        for number in range(_FILLING):
            assert peer.store(ct_image(f"1.2.9.{number}"), f"1.2.9.{number}") == 0
        peer.release()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--associations", type=int, default=100_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-leak-") as folder:
        found = leak(Path(folder), args.associations)
    print(found)
    return int(found["MiB more"] > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main())
