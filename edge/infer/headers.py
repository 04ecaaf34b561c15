"""Headers of stored objects, opened with infer's key and parsed once: at routing, kept for the job that follows."""

from __future__ import annotations

import threading
from collections import OrderedDict

from pydicom.dataset import Dataset

from edge.infer.header import read_header
from edge.infer.refusal import Refusal
from edge.records import Instance
from edge.vault import Opener

_KEPT = 32
_MOST_CHUNKS = 16
"""Attributes are read in this process, beside the key: what hostile ones may cost is bounded."""

_MOST_INFLATED = 16 << 20


class Headers:
    """Reads headers from the spool. A kept header is given to one job only: parsing a value changes a data set."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._kept: OrderedDict[str, Dataset] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, instance: Instance) -> Dataset:
        """The attributes before the pixel data.

        Raises
        ------
        Refusal
            `unreadable`.
        SealError
            If the object cannot be opened.
        """
        for chunks in (1, _MOST_CHUNKS):
            head = self._opener.head(instance.object_id, chunks)
            header = read_header(head, instance.transfer_syntax_uid, _MOST_INFLATED)
            if header.is_whole or len(head) == instance.size:
                return header.dataset
        raise Refusal("unreadable", "the attributes before the pixel data are larger than those of any image")

    def keep(self, instance: Instance, dataset: Dataset) -> None:
        """Remember `dataset` for the job that will ask for it soon."""
        with self._lock:
            self._kept[instance.object_id] = dataset
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def take(self, instance: Instance) -> Dataset:
        """The kept header, or a newly read one. Raises as `read`."""
        with self._lock:
            dataset = self._kept.pop(instance.object_id, None)
        return self.read(instance) if dataset is None else dataset

    def forget(self, object_id: str) -> None:
        """The object is erased: nothing of it stays in memory for a later job."""
        with self._lock:
            self._kept.pop(object_id, None)
