"""The worklist as JSON, as text and as a plain page on loopback: whoever may use this machine may see it."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from edge.relink.person import Person
from edge.relink.worklist import Entry, Worklist

LOOPBACK = "127.0.0.1"
_STYLE = (
    "body{font-family:sans-serif}td,th{text-align:left;padding:.3em 1em;vertical-align:top}.urgent{font-weight:bold}"
)
_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


def as_json(found: Worklist) -> dict[str, Any]:
    """The list as JSON can hold it."""
    return {
        "entries": [_entry(each) for each in found.entries],
        "left_out": [{"study_instance_uid": study, "reason": reason} for study, reason in found.left_out],
    }


def as_text(found: Worklist) -> Iterator[str]:
    """The list for a terminal."""
    for each in found.entries:
        mark = "URGENT" if each.urgent else ""
        yield f"{mark:<7}{each.at:<16} {_who(each.person):<40} {each.person.accession_number:<17}{each.report.outcome}"
        yield f"       {each.report.sentence}"
    for study, reason in found.left_out:
        yield f"left out: {study} ({reason})"
    if not found.entries:
        yield "no reports"


def serve(port: int, read: Callable[[], Worklist], ready: Callable[[int], None], stopping: threading.Event) -> None:
    """Serve the page on loopback until `stopping`; every look asks the PACS anew. `ready` is told the port."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            at = self.connection.getsockname()[1]
            if self.headers.get("Host") not in (
                f"{LOOPBACK}:{at}",
                f"localhost:{at}",
            ):  # another site's name that was pointed at this machine
                self.send_error(421)
            elif self.path != "/":
                self.send_error(404)
            else:
                self._answer()

        def _answer(self) -> None:
            try:
                status, body = 200, as_html(read())
            except Exception as error:  # noqa: BLE001 - no text of it may be shown: it could hold what the PACS said
                status, body = 502, f"<p>The PACS could not be asked ({type(error).__name__}).</p>"
            content = body.encode()
            self.send_response(status)
            for name, value in (*_HEADERS, ("Content-Length", str(len(content)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the gateway's log holds what is stored, not who looked."""

    with ThreadingHTTPServer((LOOPBACK, port), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        ready(server.server_port)
        stopping.wait()
        server.shutdown()
        thread.join()


def as_html(found: Worklist) -> str:
    """The list as one page without scripts."""
    rows = "".join(_row(each) for each in found.entries) or "<tr><td colspan=5>no reports</td></tr>"
    left = "".join(f"<li>{html.escape(study)}: {html.escape(reason)}</li>" for study, reason in found.left_out)
    return (
        f"<!doctype html><html lang=en><title>Reports</title><style>{_STYLE}</style><h1>Reports</h1>"
        "<p>Made by software, verified by nobody. No report means not analysed; it never means normal.</p>"
        f"<table><tr><th><th>filed<th>patient<th>accession<th>what it says</tr>{rows}</table>"
        + (f"<h2>Left out</h2><ul>{left}</ul>" if left else "")
    )


def _row(entry: Entry) -> str:
    cells = ("urgent" if entry.urgent else "", entry.at, _who(entry.person), entry.person.accession_number,
             entry.report.sentence)  # fmt: skip
    kind = " class=urgent" if entry.urgent else ""
    return f"<tr{kind}>" + "".join(f"<td>{html.escape(each)}" for each in cells) + "</tr>"


def _entry(entry: Entry) -> dict[str, Any]:
    person, report = entry.person, entry.report
    return {
        "urgent": entry.urgent,
        "at": entry.at,
        "patient": {
            "id": person.patient_id, "issuer": person.issuer, "name": _name(person), "birth_date": person.birth_date,
            "sex": person.sex,
        },
        "accession_number": person.accession_number,
        "study_instance_uid": report.study_instance_uid,
        "report": report.sop_instance_uid,
        "outcome": report.outcome,
        "sentence": report.sentence,
        "findings": [{"code": each.code.value, "meaning": each.code.meaning, "present": each.present,
                      "urgent": each.urgent, "score": each.score} for each in report.findings],
        "package": f"{report.package.name} {report.package.version}".strip(),
    }  # fmt: skip


def _who(person: Person) -> str:
    return ", ".join(part for part in (_name(person), person.patient_id, person.birth_date) if part)


def _name(person: Person) -> str:
    family, given, middle, prefix, suffix = person.name
    return " ".join(part for part in (prefix, given, middle, family, suffix) if part)
