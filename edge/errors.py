"""One tree of errors. Each says what happened, to which thing, and what to try; each class has a stable code.

    EdgeError
    ├── UsageError          E-USAGE      wrong command line (exit code 2)
    ├── ConfigError         E-CONFIG     edge.toml is wrong
    ├── KeyFileError        E-KEY        a key file is missing or unusable
    ├── SealError           E-SEAL       a sealed object cannot be opened or is damaged
    ├── StorageFull         E-FULL       the disk reserve is reached
    ├── JournalError        E-JOURNAL    the journal refuses a record or a move
    ├── BadObject           E-OBJECT     a received object breaks DICOM in a way we cannot accept
    ├── PackageError        E-PACKAGE    a model package is not what it must be
    ├── ImportRefused       E-IMPORT     a vendor's file cannot become a package
    ├── RuntimeFailure      E-RUNTIME    a model cannot be loaded or run here
    ├── GateHit             E-GATE       the egress gate found something that must not leave
    ├── DeliveryError       E-DELIVERY   a result cannot be delivered
    │   └── PeerFailure     E-DELIVERY   the other side of an association did not do its part
    └── EnvironmentFailure  E-SYSTEM     something on this machine is missing or refuses

No message ever carries a value of a received attribute: UIDs, codes, keywords and configured aliases only.
"""

from __future__ import annotations

from typing import ClassVar


class EdgeError(Exception):
    """Base of the tree.

    Parameters
    ----------
    what : str
        What happened, as a plain sentence without a final stop.
    which : str
        The thing it happened to: a key, a file, a UID, an alias. Empty when `what` says it.
    hint : str
        What to try, in the imperative.
    """

    code: ClassVar[str] = "E-EDGE"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, which: str = "", hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.which = which
        self.hint = hint

    def __str__(self) -> str:
        subject = f" [{self.which}]" if self.which else ""
        return f"{self.code}: {self.what}{subject}; try: {self.hint}"


class UsageError(EdgeError):
    """The command line is wrong."""

    code = "E-USAGE"
    exit_code = 2


class ConfigError(EdgeError):
    """edge.toml is wrong: `which` names key and line."""

    code = "E-CONFIG"


class KeyFileError(EdgeError):
    """A key file is missing, unreadable or of the wrong kind."""

    code = "E-KEY"


class SealError(EdgeError):
    """A sealed object cannot be opened: erased, damaged, or sealed to another key."""

    code = "E-SEAL"


class StorageFull(EdgeError):
    """The disk reserve is reached; nothing was stored."""

    code = "E-FULL"


class JournalError(EdgeError):
    """The journal refuses a record or a move of state."""

    code = "E-JOURNAL"


class BadObject(EdgeError):
    """A received object breaks DICOM in a way we cannot accept."""

    code = "E-OBJECT"


class PackageError(EdgeError):
    """A model package is not what its manifest or signature says."""

    code = "E-PACKAGE"


class ImportRefused(EdgeError):
    """A vendor's file cannot become a package; `what` says what the file really is."""

    code = "E-IMPORT"


class RuntimeFailure(EdgeError):
    """A model cannot be loaded or run on this machine."""

    code = "E-RUNTIME"


class GateHit(EdgeError):
    """The egress gate found a value that is not provably ours; the object is HELD.

    `reason` is what the journal keeps: `not-ours:TextValue`, `identity-in-uid:StudyInstanceUID`, ...
    """

    code = "E-GATE"

    def __init__(self, what: str, *, which: str = "", hint: str, reason: str = "not-ours") -> None:
        super().__init__(what, which=which, hint=hint)
        self.reason = reason


class DeliveryError(EdgeError):
    """A result cannot be delivered."""

    code = "E-DELIVERY"


class PeerFailure(DeliveryError):
    """The other side of an association did not do its part; `reason` is the journal's code for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "the association with the peer failed", which=reason, hint="look at the peer, its address and its AE titles"
        )
        self.reason = reason


class EnvironmentFailure(EdgeError):
    """Something on this machine is missing or refuses."""

    code = "E-SYSTEM"
