"""What we offer: Verification, every Storage SOP class, and the transfer syntaxes that are stored as they come."""

from __future__ import annotations

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

_STANDARD = "1.2.840.10008."
_STORAGE = "1.2.840.10008.5.1.4.1.1."
# RT Beams Delivery Instruction Storage and RT Brachy Application Setup Delivery Instruction Storage
_STORAGE_ELSEWHERE = frozenset({"1.2.840.10008.5.1.4.34.7", "1.2.840.10008.5.1.4.34.10"})
# Protocol Approval and Inventory: queries, retrieval and creation
_NOT_STORAGE = frozenset(f"{_STORAGE}{end}" for end in ("200.4", "200.5", "200.6", *(f"201.{n}" for n in range(2, 7))))
_ENCAPSULATED = "1.2.840.10008.1.2.4."
_OTHERS = frozenset({"1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"})
_NATIVE = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN})
# JPIP syntaxes carry an address instead of pixels
_REFERENCED = frozenset({"1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.204",
                         "1.2.840.10008.1.2.4.205"})  # fmt: skip


class Offer:
    """Which abstract and transfer syntaxes are accepted.

    Parameters
    ----------
    private : tuple of str
        Private SOP Class UIDs to store; `*` stands for every UID outside the standard's own root. That is safe:
        such objects are sealed like any other, and nothing looks into them unless a package names their class.
    """

    def __init__(self, private: tuple[str, ...]) -> None:
        self._classes = _STORAGE_ELSEWHERE | {uid for uid in private if uid != "*"}
        self._any_private = "*" in private

    def takes(self, abstract_syntax: str) -> bool:
        """Whether we are an SCP of it: Verification, Storage (of later editions too), private by configuration."""
        return (
            abstract_syntax == VERIFICATION
            or abstract_syntax in self._classes
            or (abstract_syntax.startswith(_STORAGE) and abstract_syntax not in _NOT_STORAGE)
            or (self._any_private and abstract_syntax != "" and not abstract_syntax.startswith(_STANDARD))
        )

    @staticmethod
    def takes_syntax(abstract_syntax: str, transfer_syntax: str) -> bool:
        """Whether objects come in it: native or encapsulated, never deflated, never a reference to elsewhere."""
        if abstract_syntax == VERIFICATION:
            return transfer_syntax in _NATIVE
        return (
            transfer_syntax in _NATIVE
            or transfer_syntax in _OTHERS
            or (transfer_syntax.startswith(_ENCAPSULATED) and transfer_syntax not in _REFERENCED)
        )
