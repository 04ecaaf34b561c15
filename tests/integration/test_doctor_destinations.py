"""Doctor on destinations: a gateway must say that it is one, a web service must listen. Names are invented."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from gateway import running
from support import EDGE_TOML, Box, Storescp

from edge.operate.check import Check
from edge.operate.network_checks import check_network

MakeBox = Callable[..., Box]


def row(made: Box) -> Check:
    return next(each for each in check_network(made.settings) if each.name == "destination archive")


def relink_box(box: MakeBox, port: int) -> Box:
    return box(text=EDGE_TOML.format(port=port).replace('kind = "deidentified"', 'kind = "relink"'))


def web_box(box: MakeBox, port: int) -> Box:
    return box(text=EDGE_TOML.format(port=port).replace('ae_title = "ARCHIVE"', 'protocol = "stow-rs"'))


def test_a_gateway_announces_itself(tmp_path: Path, box: MakeBox) -> None:
    with running(tmp_path / "relink", 1) as room:
        text = relink_box(box, room.port).file.read_text()
        assert row(box(text=text.replace('ae_title = "ARCHIVE"', 'ae_title = "RELINK"'))).ok


def test_an_archive_is_no_gateway_however_friendly(box: MakeBox, storescp: Storescp) -> None:
    found = row(relink_box(box, storescp.port))
    assert not found.ok
    assert "no relink gateway" in found.detail
    assert row(box(storescp.port)).ok


@pytest.mark.parametrize("listens", [True, False])
def test_a_web_service_is_asked_nothing(box: MakeBox, listens: bool) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        found = row(web_box(box, server.getsockname()[1]))
        assert found.ok is listens
        if listens:
            server.settimeout(5)
            connection, _ = server.accept()
            with connection:
                connection.settimeout(5)
                assert connection.recv(10) == b""
