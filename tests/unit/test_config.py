"""edge.toml: defaults, and for every mistake the key, the line, what the key takes and what was meant."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import package_maker
import pytest

from edge.config import find, load
from edge.errors import ConfigError
from edge.infer.roster import line_up
from edge.operate import configuration
from edge.packages.registry import Registry

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PEER = '[[receive.peers]]\nalias = "ct1"\nae_title = "CT1"\nhosts = ["10.0.0.0/24"]\n'
ROUTE = '[[routes]]\nname = "chest"\npackage = "cxr-pneumonia"\n'
DESTINATION = '[destinations.archive]\nae_title = "A"\nhost = "127.0.0.1"\nport = 104\n'
RELINK = '[relink]\n[relink.pacs]\nae_title = "PACS"\nhost = "10.1.2.4"\nport = 104\n'


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[str], ConfigError]:
    """Why a text is refused as edge.toml."""

    def refuse(text: str) -> ConfigError:
        (tmp_path / "edge.toml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "edge.toml")
        return caught.value

    return refuse


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("[receive]\nprot = 1\n", "receive.prot, line 2", "did you mean `port`?"),
        ("[recieve]\n", "recieve, line 1", "did you mean `receive`?"),
        ("[box]\nwhatever = 1\n", "box.whatever, line 2", "one of: root"),
        ('[receive]\nport = "104"\n', "receive.port, line 2", "give it an integer from 0 to 65535"),
        ("[receive]\n\n# a comment\nport = 70000\n", "receive.port, line 4", "give it an integer from 0 to 65535"),
        ('[receive]\nae_title = "SEVENTEEN LETTERS"\n', "receive.ae_title, line 2", "give it 1 to 16 ASCII"),
        ('[receive]\nae_title = "  "\n', "receive.ae_title, line 2", "give it 1 to 16 ASCII"),
        ('[receive]\nbind = "localhost"\n', "receive.bind, line 2", "one address of this machine"),
        (f'{PEER}\n{PEER.replace("ct1", "CT 2")}', "receive.peers[1].alias, line 7", "a name of a-z"),
        (f'{PEER}\n{PEER.replace("ct1", "c2").replace("10.0.0.0/24", "ct")}', "receive.peers[1].hosts, line 9", "e.g."),
        (PEER.replace('ae_title = "CT1"\n', ""), "receive.peers[0], line 1", "add ae_title"),
        (f"{PEER}{PEER}", "receive.peers, line 1", "give each its own alias"),
        (f'{PEER}certificate = "aa"\n', "receive.peers[0].certificate, line 5", "sha256: and 64"),
        (f'{ROUTE}deliver = ["archve"]\n{DESTINATION}', "routes[0].deliver, line 4", "did you mean `archive`?"),
        (f'{ROUTE}when = {{ Modalty = ["CR"] }}\n', "routes[0].when, line 4", "did you mean `Modality`?"),
        (f'{ROUTE}send = ["suceeded"]\n', "routes[0].send[0], line 4", "did you mean `succeeded`?"),
        (f"{ROUTE}{ROUTE}", "routes, line 1", "give each its own name"),
        ('[routes]\nname = "a"\n', "routes, line 1", "[[double]]"),
        (DESTINATION.replace("127.0.0.1", "pacs.local"), "destinations.archive.host, line 3", "never looked up"),
        (f'{DESTINATION}kind = "relnk"\n', "destinations.archive.kind, line 5", "did you mean `relink`?"),
        (f"{DESTINATION}prot = 1\n", "destinations.archive.prot, line 5", "did you mean `port`?"),
        (DESTINATION.replace("archive", "Archive"), "destinations.Archive, line 1", "use a-z"),
        (
            DESTINATION.replace("127.0.0.1", "10.0.0.1") + 'kind = "deidentified"\n',
            "destinations.archive.kind, line 5",
            "accept_unfiled_results",
        ),
        ('[receive.tls]\nkey = "a"\nca = "b"\n', "receive.tls, line 1", "add certificate"),
        ('[notify]\nsyslog = "10.0.0.5:70000"\n', "notify.syslog, line 2", "10.0.0.5:514"),
        ('[notify]\nsyslog = "10.0.0.5:0"\n', "notify.syslog, line 2", "10.0.0.5:514"),
        (
            f'{RELINK}[relink.fhir]\nhost = "10.1.2.5"\nport = 80\nauthorization = "token"\n',
            "relink.fhir.authorization, line 9",
            "add [relink.fhir.tls]",
        ),
        ("[storage]\nkeep_days = 30\n", "storage.keep_days, line 2", "max_days"),
        ('[infer]\nproviders = ["gpu"]\n', "infer.providers[0], line 2", "did you mean `cpu`?"),
        ("[box\n", "edge.toml", "correct the place named"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_key_and_line(
    refusal: Callable[[str], ConfigError], text: str, where: str, hint: str
) -> None:
    error = refusal(text)
    assert error.which == where
    assert hint in error.hint
    assert "\n" not in str(error)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text("")
    settings = load(tmp_path / "edge.toml")
    assert (settings.receive.port, settings.root, settings.routes) == (11112, Path("/var/lib/edge"), ())


def test_every_section_with_a_certificate_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(
        RELINK
        + "".join(
            f'[{name}]\nhost = "10.1.2.5"\nport = 1\n[{name}.tls]\ncertificate = "c"\nkey = "k"\nca = "a"\n'
            for name in ("relink.fhir", "relink.hl7")
        )
    )
    assert [place for place, _ in load(tmp_path / "edge.toml").tls_sections()] == ["relink.fhir.tls", "relink.hl7.tls"]


def test_relative_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edge.toml").write_text('[box]\nroot = "here"\n')
    monkeypatch.chdir("/")
    assert load(tmp_path / "edge.toml").root == tmp_path / "here"


def test_the_file_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, local = tmp_path / "named.toml", tmp_path / "edge.toml"
    named.touch()
    local.touch()
    monkeypatch.chdir(tmp_path)
    assert find(None) == Path("edge.toml")
    monkeypatch.setenv("EDGE_CONFIG", str(named))
    assert find(None) == named
    assert find(local) == local
    with pytest.raises(ConfigError, match="there is no configuration file"):
        find(tmp_path / "absent.toml")


def test_show_is_a_complete_edge_toml_that_means_the_same(tmp_path: Path, run_edge: Run) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(f'{PEER}{ROUTE}when = {{ Modality = ["CR"] }}\n{DESTINATION}[destinations.archive.tls]\n'
                     'certificate = "a"\nkey = "b"\nca = "c"\n')  # fmt: skip
    second.write_text(run_edge("config", "show", "--config", first).stdout)
    shown = run_edge("config", "show", "--config", second).stdout
    assert "# default" in second.read_text()
    assert "# default" not in shown
    assert tomllib.loads(second.read_text()) == tomllib.loads(shown)
    documents = [json.loads(run_edge("config", "show", "--json", "--config", each).stdout) for each in (first, second)]
    assert documents[0] | {"file": ""} == documents[1] | {"file": ""}


def test_check_says_ok(tmp_path: Path, run_edge: Run) -> None:
    (tmp_path / "edge.toml").write_text(f'{PEER}{ROUTE}deliver = ["archive"]\n{DESTINATION}kind = "deidentified"\n')
    ended = run_edge("config", "check", "--config", tmp_path / "edge.toml")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"ok: {tmp_path / 'edge.toml'}\n", "")


def test_check_looks_at_files_packages_and_where_demonstrations_go(tmp_path: Path, run_edge: Run) -> None:
    (tmp_path / "edge.toml").write_text(
        f'{ROUTE}deliver = ["archive"]\n{ROUTE.replace("chest", "two").replace("pneumonia", "pneumona")}'
        f'{DESTINATION.replace("127.0.0.1", "10.0.0.1")}[models]\ntrusted_keys = ["absent.pub"]\n'
    )
    ended = run_edge("config", "check", "--json", "--config", tmp_path / "edge.toml")
    problems = {each["key"]: each["try"] for each in json.loads(ended.stdout)["problems"]}
    assert ended.returncode == 1
    assert problems == {
        "models.trusted_keys, line 13": f"put it at {tmp_path / 'absent.pub'}, or correct the path",
        "routes[0].deliver, line 4": "allow_demonstration = true in the route, if no patient depends on it",
        "routes[1].package, line 7": "did you mean `cxr-pneumonia`?",
    }
    assert len(ended.stderr.splitlines()) == 3


def test_a_wrong_file_is_one_line_and_exit_code_1(tmp_path: Path, run_edge: Run) -> None:
    (tmp_path / "edge.toml").write_text("[receive]\nprot = 1\n")
    ended = run_edge("config", "check", "--config", tmp_path / "edge.toml")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "E-CONFIG: unknown key [receive.prot, line 2]; try: did you mean `port`?\n"


RULE = {"absent": "refuse", "any_of": ["DX"]}


@pytest.mark.parametrize(
    ("changes", "providers", "key", "word"),
    [
        ({"applicability": {"Modalty": RULE}}, '"auto"', "routes[0].package", "keyword"),
        ({}, '"cuda"', "routes[0].package", "providers"),
        ({}, '"auto"', "routes[0].deliver", "demonstration"),
    ],
)
def test_check_and_the_infer_room_say_the_same(
    tmp_path: Path, changes: dict[str, Any], providers: str, key: str, word: str
) -> None:
    text = f'{ROUTE.replace("cxr-pneumonia", "brightness")}deliver = ["archive"]\n{DESTINATION}'
    (tmp_path / "edge.toml").write_text(f"{text}[infer]\nproviders = [{providers}]\n")
    settings = load(tmp_path / "edge.toml")
    registry = Registry({"brightness": package_maker.make(tmp_path / "package", **changes)})

    found = list(configuration.problems(settings, registry))
    (line,) = line_up(settings, registry)

    assert found[0].which.startswith(f"{key}, line ")
    assert word in found[0].what
    assert found[0].what in line.problem
    assert found[0].hint in line.problem
