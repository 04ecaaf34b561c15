"""`edge doctor`: everything that can be wrong with a box, one check after the other, none stopping the next.

In: where edge.toml is. Out: checks as they are made. A check that itself fails is a failed check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from edge.config import Settings, find, load
from edge.errors import ConfigError, EdgeError
from edge.operate.check import Check, failed, passed
from edge.operate.configuration import problems
from edge.operate.machine_checks import check_machine
from edge.operate.network_checks import check_network
from edge.operate.storage_checks import check_storage
from edge.packages.registry import Registry
from edge.packages.site import registry_of


def examine(given: Path | None) -> Iterator[Check]:
    """All checks of the box that `given` (or the usual places) configures."""
    try:
        settings = load(find(given))
        registry = registry_of(settings)
    except EdgeError as error:
        yield failed("config", f"{error.which}: {error.what}", error.hint)
        return
    yield _config(settings, registry)
    for name, checks in _groups(settings, registry):
        yield from _guarded(name, checks)


def _groups(settings: Settings, registry: Registry) -> list[tuple[str, Callable[[], Iterator[Check]]]]:
    return [
        ("storage", lambda: check_storage(settings)),
        ("machine", lambda: check_machine(settings, registry)),
        ("network", lambda: check_network(settings)),
    ]


def _guarded(name: str, checks: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from checks()
    except EdgeError as error:
        yield failed(name, f"{error.which}: {error.what}".removeprefix(": "), error.hint)
    except Exception as error:  # noqa: BLE001 - a check that itself fails is a failed check; its text may hold values
        yield failed(name, f"the check could not be made ({type(error).__name__})", "run it as the box's own user")


def _config(settings: Settings, registry: Registry) -> Check:
    found: list[ConfigError] = list(problems(settings, registry))
    if found:
        more = f" (and {len(found) - 1} more: edge config check)" if found[1:] else ""
        return failed("config", f"{found[0].which}: {found[0].what}{more}", found[0].hint)
    return passed("config", str(settings.file))
