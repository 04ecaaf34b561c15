"""Why an image is not analysed: an error whose reason is of the catalogue (edge/reasons.py)."""

from __future__ import annotations

from edge.errors import BadObject


class Refusal(BadObject):
    """An image ends its job here. `reason` is what the journal and the report say; no received value is in it."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what, which=reason, hint="look at the job with `edge jobs show`")
        self.reason = reason
