"""What stands before a package becomes ACTIVE, and what only a person's named reason opens.

Withdrawn by the site (`models.revoked`), older than what was ACTIVE already, not long enough a shadow
(`models.promotion_min_shadow`), not accepted on the site's own studies: each needs `--reason`, a code that the audit
trail keeps. Without acceptance every report says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.errors import PackageError, UsageError
from edge.journal import Journal, packages, shadows
from edge.journal.packages import Installed, as_order
from edge.packages.comparison import compare
from edge.packages.registry import Registry
from edge.records import as_code


@dataclass(frozen=True, slots=True)
class Policy:
    """What the site says about packages in edge.toml."""

    revoked: frozenset[str] = frozenset()
    min_shadow: int = 0
    max_disagreement: float = 1.0


def checked_reason(reason: str) -> str:
    """`reason` if the journal can keep it. Raises UsageError."""
    if reason and (not as_code(reason) or not set(reason).isdisjoint("+/")):
        raise UsageError("the reason is not a code", which="--reason", hint="letters, digits and _ . : - only")
    return reason


def check_revoked(digest: str, name: str, policy: Policy, reason: str) -> None:
    """Raise PackageError for a package that the site has withdrawn, unless a reason is given."""
    if digest in policy.revoked and not reason:
        raise _closed("the package is withdrawn (models.revoked)", name)


def check_activation(journal: Journal, package: Installed, shipped: Registry, policy: Policy, reason: str) -> None:
    """Raise PackageError with the first gate that is closed for `package`, unless a reason is given."""
    check_revoked(package.digest, package.name, policy, reason)
    if reason:
        return
    known = packages.newest_activated(journal, package.name)
    if package.name in shipped.names():
        known = max(known, as_order(shipped.resolve(package.name).manifest.version))
    if package.order < known:
        raise _closed(f"version {'.'.join(map(str, known))} was in use: this one is older", _called(package))
    _check_shadow(journal, package, policy)
    if not package.accepted:
        raise _closed("the package was not accepted on this site's own studies", _called(package))


def _check_shadow(journal: Journal, package: Installed, policy: Policy) -> None:
    if not policy.min_shadow:
        return
    seen = compare(shadows.pairs(journal, package.digest))
    if seen.compared < policy.min_shadow:
        raise _closed(f"as a shadow it looked at {seen.compared} of {policy.min_shadow} jobs", _called(package))
    apart = seen.compared - seen.agreement.count
    if apart > policy.max_disagreement * seen.compared:
        raise _closed(f"as a shadow it disagreed on {apart} of {seen.compared} jobs", _called(package))


def _called(package: Installed) -> str:
    return f"{package.name}-{package.version}"


def _closed(what: str, which: str) -> PackageError:
    return PackageError(what, which=which, hint="if a person decides so: --reason CODE")
