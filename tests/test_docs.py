"""The documents cannot rot: every command, key, code, reason and field is in them, and what they show works."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect
from support import REPOSITORY

from edge import errors, reasons
from edge.cli import build_parser
from edge.commands import TABLE, load_command
from edge.config.explain import describe
from edge.config.settings import Document
from edge.operate.metrics import METRICS
from edge.packages.manifest import Manifest

README = (REPOSITORY / "README.md").read_text()


def document(path: str) -> str:
    """A document of the repository as text."""
    return (REPOSITORY / path).read_text()


def sections(kind: type[msgspec.Struct], path: str = "") -> Iterator[tuple[str, inspect.StructType]]:
    """Every struct below `kind` with the dotted path of its keys, itself first."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    yield path, info
    for field in info.fields:
        for inner in _structs(field.type):
            yield from sections(inner.cls, f"{path}.{field.encode_name}".lstrip("."))


def _structs(kind: inspect.Type) -> Iterator[inspect.StructType]:
    if isinstance(kind, inspect.StructType):
        yield kind
    for inner in (*getattr(kind, "types", ()), getattr(kind, "item_type", None), getattr(kind, "value_type", None)):
        if inner is not None:
            yield from _structs(inner)


def rows(info: inspect.StructType) -> list[str]:
    """How a document's table must begin each row of this section: key, what it takes, default."""
    return [
        f"| `{field.encode_name}` | {describe(field.type)} | {_default(field)} |"
        for field in info.fields
        if not _is_section(field.type)
    ]


def _is_section(kind: inspect.Type) -> bool:
    return any(True for _ in _structs(kind))


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{json.dumps(field.default_factory())}`"
    return "none" if field.default is None else f"`{json.dumps(field.default)}`"


def missing_rows(kind: type[msgspec.Struct], text: str) -> list[str]:
    """The rows that `text` lacks, each under its section's path."""
    return [f"{path}: {row}" for path, info in sections(kind) for row in rows(info) if row not in text]


def test_every_config_key_is_documented_with_type_and_default() -> None:
    assert missing_rows(Document, document("edge/config/README.md")) == []


def test_every_manifest_field_is_documented_with_type_and_default() -> None:
    assert missing_rows(Manifest, document("edge/docs/manifest.md")) == []


def test_every_section_has_a_heading() -> None:
    for kind, path in ((Document, "edge/config/README.md"), (Manifest, "edge/docs/manifest.md")):
        headings = {heading.strip("`") for heading in re.findall(r"^## (\S+)", document(path), re.M)}
        assert {name for name, info in sections(kind) if name and rows(info)} - headings == set()


def test_every_error_code_is_documented() -> None:
    codes = {error.code for error in _subclasses(errors.EdgeError)}
    assert codes == set(re.findall(r"^\| `(E-[A-Z]+)` \|", document("edge/docs/errors.md"), re.M))
    assert codes == set(re.findall(r"^\| `(E-[A-Z]+)` \|", README, re.M))


def test_what_the_gate_holds_is_not_blamed_on_the_wrong_side() -> None:
    """Three kinds of hits have three that can correct them: the sending device, the sender, and we."""
    (row,) = (line for line in document("edge/docs/errors.md").splitlines() if line.startswith("| `E-GATE`"))
    assert re.search(r"`identity-in-uid`[^.`]*sending device", row)
    assert re.search(r"`identity-unknown`[^.`]*send", row)
    assert "fault of package or software" in row


def test_every_reason_is_documented_as_the_catalogue_has_it() -> None:
    text = document("edge/docs/reasons.md")
    for reason in reasons.CATALOGUE.values():
        code = f"{reason.code.value}, {reason.code.scheme}"
        again = "yes" if reason.retryable else "no"
        assert f"| `{reason.name}` | {reason.outcome} | {code} | {again} | {reason.sentence} |" in text
    assert len(re.findall(r"^\| `", text, re.M)) == len(reasons.CATALOGUE)


def test_every_metric_is_documented_as_it_is() -> None:
    text = document("edge/docs/metrics.md")
    rows = [f"| `{each.name}` | {each.kind} | {', '.join(each.labels) or '-'} | {each.help} |" for each in METRICS]
    assert re.findall(r"^\| `edge_.*$", text, re.M) == rows


def _subclasses(kind: type[errors.EdgeError]) -> Iterator[type[errors.EdgeError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _subclasses(each)


@pytest.mark.parametrize("name", TABLE)
def test_every_command_is_documented_and_explains_itself(name: str) -> None:
    command = load_command(name)
    assert name == command.NAME
    assert command.HELP.endswith(".")
    for words in _usages(name):
        assert f"edge {words}" in README, f"the README's command table lacks `edge {words}`"


def _usages(name: str) -> list[str]:
    """`status`, or `jobs list`, `jobs show`, ... for a command with actions; each must have a help text."""
    parser = _choices(build_parser([name]))[name]
    actions = _choices(parser)
    for action, inner in actions.items():
        assert inner.description, f"`edge {name} {action} --help` says nothing"
    return [f"{name} {action}" for action in actions] or [name]


def _choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def test_no_command_is_documented_that_is_not_there() -> None:
    documented = set(re.findall(r"^\| `edge ([a-z-]+)", README, re.M))
    assert documented == set(TABLE)


def test_the_minimal_edge_toml_of_the_readme_is_right(tmp_path: Path, run_edge: Callable[..., object]) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", README, re.S)
    (tmp_path / "edge.toml").write_text(blocks[0])
    ended = run_edge("config", "check", "--config", tmp_path / "edge.toml")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("path", ["README.md", "firmware_scripts/README.md", "firmware_scripts/systemd/README.md"])
def test_the_shell_commands_of_the_readme_exist(path: str) -> None:
    for line in _shell_lines(document(path)):
        words = shlex.split(line, comments=True)
        if words[:1] == ["edge"]:
            assert words[1] in TABLE, line
        elif words and words[0].startswith("./"):
            assert (REPOSITORY / words[0]).is_file(), line
        elif words and words[0].startswith("/opt/edge/"):
            assert (REPOSITORY / "firmware_scripts" / Path(words[0]).name).is_file(), line


def test_every_script_and_unit_is_in_the_runbook() -> None:
    for folder, pattern in (("firmware_scripts", "*.sh"), ("firmware_scripts/systemd", "*.*")):
        text = document(f"{folder}/README.md")
        for path in (REPOSITORY / folder).glob(pattern):
            assert path.name in text or path.name in ("README.md", "common.sh") or path.stem in text, path.name


def test_every_path_that_the_readme_names_is_there() -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    assert [path for path in linked if not (REPOSITORY / path).exists()] == []


def _shell_lines(text: str) -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        yield from (line for line in block.splitlines() if line.strip())
