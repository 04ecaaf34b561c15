"""What the gateway answers to a C-STORE, and what each answer tells the box (PS3.4 B.2.3)."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """A701 and A702 heal: the box keeps the delivery and tries again. The others wait for a person."""

    SUCCESS = 0x0000
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    UNRECOGNIZED_OPERATION = 0x0211
    NOT_THERE_YET = 0xA701
    """The study, or its patient, or a referenced instance, is not in the PACS yet."""
    PACS_AWAY = 0xA702
    """The PACS does not answer, or not in a way that can be used."""
    NOT_OURS = 0xA900
    """The data set is no PHI-free result of its SOP class."""
    CANNOT_UNDERSTAND = 0xC000
    MORE_THAN_ONE_PATIENT = 0xC101
    EVIDENCE = 0xC102
    """The result refers to something that contradicts what the PACS holds, or that did not come in good time."""


class Refused(Exception):
    """Nothing was stored. `reason` is a code for the log: it never holds a value of a data set."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
