"""Installed packages and their states: STAGED, INSTALLED, [SHADOW], ACTIVE, RETIRED; FAILED from any; REMOVED.

A row outlives its files: the highest version that was ever ACTIVE is remembered, so that an older one cannot come back
unnoticed. `before` is the digest that was ACTIVE when this one was activated; empty where it was none, or a package
of the software itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.journal.database import Row
from edge.journal.journal import Journal

HERE = ("INSTALLED", "SHADOW", "ACTIVE", "RETIRED")
"""States of packages that lie in the store, whole and self-tested."""

_COLUMNS = (
    "digest, name, version, signer, state, reason, installed_at, activated_at, before, waiver, pardoned, "
    "EXISTS (SELECT 1 FROM acceptance WHERE acceptance.digest = package.digest) AS accepted"
)


@dataclass(frozen=True, slots=True)
class Installed:
    """One installed package; times in seconds since the epoch, `activated_at`: the last time it became ACTIVE, or None.

    `waiver`: why it was activated without acceptance; `pardoned`: it was activated although the site had withdrawn it.
    """

    digest: str
    name: str
    version: str
    signer: str
    state: str
    reason: str
    installed_at: float
    activated_at: float | None
    before: str
    waiver: str
    pardoned: bool
    accepted: bool

    @property
    def order(self) -> tuple[int, ...]:
        """For comparing versions."""
        return as_order(self.version)


def as_order(version: str) -> tuple[int, ...]:
    """A version as numbers, which compare as versions do."""
    return tuple(int(part) for part in version.split("."))


def listing(journal: Journal, *states: str) -> list[Installed]:
    """All packages, newest installation first; with `states` only those."""
    rows = journal.database.rows(f"SELECT {_COLUMNS} FROM package ORDER BY installed_at DESC, digest")
    return [_installed(row) for row in rows if not states or row["state"] in states]


def find(journal: Journal, digest: str) -> Installed | None:
    """The package with this digest, or None."""
    row = journal.database.row(f"SELECT {_COLUMNS} FROM package WHERE digest = ?", (digest,))
    return _installed(row) if row else None


def in_state(journal: Journal, name: str, state: str) -> Installed | None:
    """The one package of `name` in `state`, ACTIVE or SHADOW; or None."""
    row = journal.database.row(f"SELECT {_COLUMNS} FROM package WHERE name = ? AND state = ?", (name, state))
    return _installed(row) if row else None


def newest_activated(journal: Journal, name: str) -> tuple[int, ...]:
    """The highest version of `name` that was ever ACTIVE, as numbers; empty when none was."""
    rows = journal.database.rows("SELECT version FROM package WHERE name = ? AND activated_at IS NOT NULL", (name,))
    return max((as_order(row["version"]) for row in rows), default=())


def stage(journal: Journal, digest: str, name: str, version: str, signer: str) -> None:
    """The package's files are in the store; a FAILED or REMOVED one is STAGED anew. Raises JournalError otherwise."""
    with journal.transaction():
        known = find(journal, digest)
        if known is not None:
            journal.move("package", digest, known.state, "STAGED")
            journal.database.execute(
                "UPDATE package SET signer = ?, installed_at = ? WHERE digest = ?", (signer, journal.clock(), digest)
            )
            return
        journal.database.insert(
            "INSERT INTO package (digest, name, version, signer, state, installed_at) VALUES (?, ?, ?, ?, 'STAGED', ?)",
            (digest, name, version, signer, journal.clock()),
        )
        journal.note("package", digest, "", "STAGED")


def activate(journal: Journal, package: Installed, reason: str, waiver: str, *, pardoned: bool = False) -> None:
    """`package` becomes ACTIVE and the one before it RETIRED. One transaction."""
    with journal.transaction():
        old = in_state(journal, package.name, "ACTIVE")
        if old is not None:
            journal.move("package", old.digest, "ACTIVE", "RETIRED", "replaced")
        journal.move("package", package.digest, package.state, "ACTIVE", reason)
        journal.database.execute(
            "UPDATE package SET activated_at = ?, before = ?, waiver = ?, pardoned = ? WHERE digest = ?",
            (journal.clock(), old.digest if old else "", waiver, int(pardoned), package.digest),
        )


def accept(journal: Journal, digest: str, cases: int, record: str) -> None:
    """The site has measured the package on `cases` labels; `record` is the SHA-256 of what it wrote down."""
    with journal.transaction():
        journal.database.insert(
            "INSERT INTO acceptance (digest, at, cases, record) VALUES (?, ?, ?, ?)",
            (digest, journal.clock(), cases, record),
        )
        journal.database.execute("UPDATE package SET waiver = '' WHERE digest = ?", (digest,))
        journal.note("package", digest, "", "ACCEPTED", f"cases:{cases}")


def last_active(journal: Journal, name: str) -> Installed | None:
    """The ACTIVE package of `name`; else the one that was it last, if it is FAILED since; else None."""
    own = [each for each in listing(journal) if each.name == name and each.activated_at is not None]
    active = next((each for each in own if each.state == "ACTIVE"), None)
    last = max(own, key=lambda each: each.activated_at or 0.0, default=None)
    return active or (last if last is not None and last.state == "FAILED" else None)


def roll_back(
    journal: Journal, package: Installed, reason: str, *, to: str = "RETIRED", pardoned: bool = False
) -> None:
    """`package` goes from where it is `to` another state, what was ACTIVE before it is again. One transaction."""
    with journal.transaction():
        journal.move("package", package.digest, package.state, to, reason)
        if package.before:
            journal.move("package", package.before, "RETIRED", "ACTIVE", reason)
            journal.database.execute(
                "UPDATE package SET activated_at = ?, pardoned = ? WHERE digest = ?",
                (journal.clock(), int(pardoned), package.before),
            )


def shadow(journal: Journal, package: Installed) -> None:
    """`package` becomes the only SHADOW of its name. One transaction."""
    with journal.transaction():
        other = in_state(journal, package.name, "SHADOW")
        if other is not None:
            journal.move("package", other.digest, "SHADOW", "INSTALLED", "replaced")
        journal.move("package", package.digest, package.state, "SHADOW")


def _installed(row: Row) -> Installed:
    return Installed(**{**dict(row), "accepted": bool(row["accepted"]), "pardoned": bool(row["pardoned"])})
