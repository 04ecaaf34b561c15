"""What is installed on one box: the packages of its software, with the ACTIVE ones of its store put before them.

In: settings, and the journal where there is one. Out: a `Registry`. Invariant: an ACTIVE package that is damaged,
withdrawn or no longer signed by a trusted key is a problem that is told, not a reason to run another one.
"""

from __future__ import annotations

import dataclasses

from edge.config import Settings
from edge.errors import EdgeError, JournalError, PackageError
from edge.journal import Journal, packages
from edge.journal.packages import Installed
from edge.packages.gates import Policy
from edge.packages.package import Package
from edge.packages.registry import Registry
from edge.packages.signature import load_keys
from edge.packages.store import Store


def store_of(settings: Settings) -> Store:
    """The box's store; the keys are read anew whenever they are asked for."""
    return Store(settings.store, lambda: load_keys(map(settings.path, settings.models.trusted_keys)))


def policy_of(settings: Settings) -> Policy:
    """What the site says about packages."""
    models = settings.models
    return Policy(frozenset(models.revoked), models.promotion_min_shadow, models.promotion_max_disagreement)


def installed(journal: Journal, store: Store, shipped: Registry, policy: Policy) -> Registry:
    """The registry of the box as its journal stands now."""
    found: dict[str, Package] = {}
    problems: dict[str, PackageError] = {}
    for row in packages.listing(journal, "ACTIVE"):
        try:
            found[row.name] = usable(row, store, policy)
        except EdgeError as error:
            problems[row.name] = PackageError(error.what, which=f"{row.name}-{row.version}", hint=error.hint)
    for name in {row.name for row in packages.listing(journal, "FAILED")} - found.keys() - problems.keys():
        last = packages.last_active(journal, name)
        if last is not None and last.state == "FAILED":
            problems[name] = PackageError(
                f"the package that worked is FAILED ({last.reason})", which=f"{name}-{last.version}",
                hint=f"`edge models rollback {name}`, or activate another",
            )  # fmt: skip
    return shipped.extended(found, problems)


def usable(row: Installed, store: Store, policy: Policy) -> Package:
    """The package of a row, to be run. Raises EdgeError if it must not be, or cannot."""
    if row.digest in policy.revoked and not row.pardoned:
        raise PackageError("the package is withdrawn (models.revoked)", which=row.name, hint="`edge models rollback`")
    return dataclasses.replace(store.load(row.digest), waiver=row.waiver)


def registry_of(settings: Settings) -> Registry:
    """The registry of a box as commands see it; of a box without a journal, that of its software."""
    shipped = Registry()
    if not settings.journal.exists():
        return shipped
    try:
        journal = Journal(settings.journal)
    except JournalError:
        return shipped  # `edge doctor` says what is wrong with it
    try:
        return installed(journal, store_of(settings), shipped, policy_of(settings))
    finally:
        journal.close()
