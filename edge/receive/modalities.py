"""The defined terms of Modality (0008,0060), PS3.3 C.7.3.1.1.1, retired ones too.

Nothing else is kept beside an object: a device that writes a name into this attribute must not bring it into the
journal. A modality that is newer than this list is kept as empty; routes look at the data set itself.
"""

MODALITIES = frozenset(
    """
    The defined terms of Modality (0008,0060), PS3.3 C.7.3.1.1.1, retired ones too. Nothing else is kept beside
    an object: a device that writes a name into this attribute must not bring it into the journal. A modality
    that is newer than this list is kept as empty; routes look at the data set itself. MODALITIES = frozenset(
    """.split()  # noqa: SIM905 - a list of 90 strings reads worse
)
