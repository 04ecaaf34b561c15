"""The Conformance Statement is the code's own word: the stored one is fresh, and a configuration shows in its own."""

from __future__ import annotations

import re
from pathlib import Path

from support import REPOSITORY, run_edge

from edge.config import load
from edge.config.settings import Document
from edge.infer.allow_list import ALLOWED
from edge.operate.conformance import statement
from edge.receive.syntaxes import Offer

DOCUMENT = REPOSITORY / "edge/docs/conformance.md"
TOML = """
[receive]
ae_title = "WARD3"
private_sop_classes = ["1.2.3.4"]
[receive.tls]
certificate = "a"
key = "b"
ca = "c"
[destinations.radiology]
ae_title = "GATEWAY"
host = "10.1.2.3"
port = 11114
[destinations.web]
kind = "deidentified"
protocol = "stow-rs"
host = "127.0.0.1"
port = 8042
"""


def test_the_stored_statement_is_fresh() -> None:
    assert DOCUMENT.read_text() == statement(Document()), (
        "write it anew: touch edge.toml; edge config conformance --config edge.toml > edge/docs/conformance.md"
    )


def test_what_it_says_is_taken_is_taken_and_what_it_refuses_is_refused() -> None:
    text = DOCUMENT.read_text()
    offer = Offer(("*",))
    ct = "1.2.840.10008.5.1.4.1.1.2"
    listed = re.findall(r"^\| [^|]+ \| `(1\.2\.840\.10008\.1\.2[0-9.]*)` \|$", text, re.M)
    assert len(listed) > 20
    assert all(offer.takes_syntax(ct, uid) for uid in listed)
    refused = {
        "Storage Commitment": "1.2.840.10008.1.20.1",
        "MPPS": "1.2.840.10008.3.1.2.3.3",
        "Query/Retrieve": "1.2.840.10008.5.1.4.1.2.2.1",
        "Modality Worklist": "1.2.840.10008.5.1.4.31",
    }
    for name, uid in refused.items():
        assert name in text
        assert not offer.takes(uid)
    for uid in ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.94"):  # deflated, JPIP
        assert not offer.takes_syntax(ct, uid)
        assert f"`{uid}`" not in text
    assert all(f"`{uid}`" in text for uid in ALLOWED)


def test_a_configuration_shows_in_its_own_statement(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(TOML)
    text = run_edge("config", "conformance", "--config", file).stdout
    assert text == statement(load(file))
    assert "AE title `WARD3`" in text
    assert "private ones: `1.2.3.4`" in text.replace("\n", " ")
    assert "| radiology | relink | dimse | `GATEWAY` | no |" in text
    assert "| web | deidentified | stow-rs | - | no |" in text
    assert "Here with TLS: `receive`." in text
    assert "Here with TLS" not in DOCUMENT.read_text()
    assert "`1.2.3.4`" not in DOCUMENT.read_text()
