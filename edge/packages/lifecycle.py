"""The life of an installed package: STAGED, INSTALLED, [SHADOW], ACTIVE, RETIRED; FAILED from any (DESIGN 6).

In: an archive, or the name of a package, and a person's decision. Out: moves in the journal, each with its audit row,
and files in the store. What runs follows the journal: `Bench.prepare` loads the next package beside the old one,
then the journal is written, then `Bench.switch` lets every job that begins from now on take the new one. A process
that is killed at any moment leaves a journal that says what is; `recover` removes what it was in the middle of.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Protocol

from edge.errors import EdgeError, JournalError, PackageError, RuntimeFailure, UsageError
from edge.journal import Journal, packages, traces
from edge.journal.packages import HERE, Installed
from edge.packages import commissioning, gates
from edge.packages.gates import Policy
from edge.packages.package import Package
from edge.packages.registry import Registry
from edge.packages.store import Store
from edge.packages.vet import vet

_SHORTEST_DIGEST = 8
_LONGEST_NAME = 64


class Bench(Protocol):
    """Who runs packages: the infer room, or nobody when it is down."""

    def selftest(self, package: Package) -> None:
        """Run the golden cases in the room's own sandbox. Raises PackageError, RuntimeFailure."""

    def prepare(self, package: Package) -> None:
        """Have the package loaded, tested and warm beside what runs now. Raises as `selftest`."""

    def switch(self) -> None:
        """The journal has changed: run what it says from now on."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a request did: the package, its state before and after, and the one that it replaced, if any."""

    package: Installed
    was: str
    replaced: str = ""


class Lifecycle:
    """Changes states. `lock` is for whoever asks from several threads: one request at a time."""

    def __init__(self, journal: Journal, store: Store, shipped: Registry, bench: Bench, policy: Policy) -> None:
        self._journal = journal
        self._store = store
        self._shipped = shipped
        self._bench = bench
        self._policy = policy
        self.lock = threading.RLock()

    def recover(self) -> None:
        """At start: journal and store are made to say the same, whatever the last process was in the middle of."""
        self._store.sweep()
        for package in packages.listing(self._journal, "STAGED"):
            self._fail(package, "interrupted")
        there = set(self._store.digests())
        for package in packages.listing(self._journal, *HERE):
            if package.digest not in there:
                self._journal.move("package", package.digest, package.state, "FAILED", "files-missing")
        known = {package.digest for package in packages.listing(self._journal, *HERE)}
        for digest in there - known:
            self._store.remove(digest)

    def install(self, source: BinaryIO, reason: str = "") -> Changed:
        """Verify, unpack, look at and self-test the package in an archive: INSTALLED, or refused.

        Raises
        ------
        PackageError
            If anything about it is not as it must be; a package that got as far as the store is FAILED then.
        """
        try:
            with self._store.unpacked(source) as (package, key):
                known = packages.find(self._journal, package.digest)
                if known is not None and known.state in HERE:
                    return Changed(known, known.state)
                gates.check_revoked(package.digest, package.manifest.name, self._policy, reason)
                vet(package)
                stored = self._store.keep(package)
                manifest = stored.manifest
                packages.stage(self._journal, stored.digest, manifest.name, manifest.version, key.id)
        except (PackageError, RuntimeFailure):
            self._journal.note("package", "unknown", "", "REFUSED", "not-valid")
            raise
        staged = self._row(stored.digest)
        try:
            self._bench.selftest(stored)
        except BaseException as error:
            # whatever else ended it says nothing of the package: it may be installed again
            self._fail(staged, "selftest-failed" if isinstance(error, EdgeError) else "interrupted")
            raise
        self._journal.move("package", staged.digest, "STAGED", "INSTALLED", reason)
        return Changed(self._row(staged.digest), "STAGED")

    def activate(self, spec: str, reason: str = "") -> Changed:
        """Let every job that begins from now on run this package.

        Raises
        ------
        PackageError
            If a gate stands before it (see `gates.py`) and no reason is given, or it does not work here.
        """
        package = self.resolve(spec, "INSTALLED", "SHADOW", "RETIRED")
        gates.check_activation(self._journal, package, self._shipped, self._policy, reason)
        loaded = self._store.load(package.digest)
        self._check_scope(loaded)
        self._bench.prepare(loaded)
        waiver = "" if package.accepted else reason
        old = packages.in_state(self._journal, package.name, "ACTIVE")
        pardoned = package.digest in self._policy.revoked
        packages.activate(self._journal, package, reason, waiver, pardoned=pardoned)
        self._bench.switch()
        return Changed(self._row(package.digest), package.state, old.digest if old else "")

    def roll_back(self, name: str, reason: str = "") -> Changed:
        """Let the package run that was ACTIVE before this one: the former version, or the software's own.

        Raises
        ------
        PackageError
            If there was none before, or it is withdrawn and no reason is given.
        """
        active = packages.last_active(self._journal, name)
        if active is None:
            raise PackageError("no installed package of this name is ACTIVE", which=name, hint="`edge models list`")
        before = self.before(active)
        if before is not None:
            gates.check_revoked(before.digest, name, self._policy, reason)
        self._bench.prepare(self._store.load(before.digest) if before else self._shipped.resolve(name))
        left = "RETIRED" if active.state == "ACTIVE" else "REMOVED"
        pardoned = before is not None and before.digest in self._policy.revoked
        packages.roll_back(self._journal, active, reason or "rollback", to=left, pardoned=pardoned)
        self._bench.switch()
        back = self._row(before.digest) if before else self._row(active.digest)
        return Changed(back, "RETIRED" if before else active.state, active.digest)

    def give_up(self, digest: str, *, take_over: bool) -> None:
        """The ACTIVE package failed its self-test: FAILED. What ran before takes over only if asked, and accepted."""
        active = self._row(digest)
        if active.state != "ACTIVE":
            return
        if take_over and self._can_take_over(active):
            packages.roll_back(self._journal, active, "selftest-failed", to="FAILED")
        else:
            self._journal.move("package", digest, "ACTIVE", "FAILED", "selftest-failed")
        self._bench.switch()

    def _can_take_over(self, active: Installed) -> bool:
        """Whether what ran before is accepted and works here: a successor that is broken too must not save `active`."""
        before = packages.find(self._journal, active.before) if active.before else None
        if before is None or before.state != "RETIRED" or not before.accepted:
            return False
        try:
            gates.check_revoked(before.digest, before.name, self._policy, "")
            self._bench.prepare(self._store.load(before.digest))
        except EdgeError:
            return False
        return True

    def before(self, active: Installed) -> Installed | None:
        """What was ACTIVE before `active`; None for a package of the software itself.

        Raises
        ------
        PackageError
            If there is neither.
        """
        before = packages.find(self._journal, active.before) if active.before else None
        if before is not None and before.state == "RETIRED":
            return before
        if before is None and active.name in self._shipped.names():
            return None
        raise PackageError(
            "there is no earlier package to go back to", which=active.name, hint="activate another: `edge models list`"
        )

    def shadow(self, spec: str, *, off: bool = False) -> Changed:
        """Let the package look at what the ACTIVE one looked at, and send nothing; or no longer."""
        if off:
            package = self.resolve(spec, "SHADOW")
            self._journal.move("package", package.digest, "SHADOW", "INSTALLED", "person")
        else:
            package = self.resolve(spec, "INSTALLED", "RETIRED")
            gates.check_revoked(package.digest, package.name, self._policy, "")
            loaded = self._store.load(package.digest)
            self._check_scope(loaded)
            self._bench.prepare(loaded)
            packages.shadow(self._journal, package)
        self._bench.switch()
        return Changed(self._row(package.digest), package.state)

    def accept(self, spec: str, truth: BinaryIO, by: str) -> dict[str, Any]:
        """Measure the package on the site's own labelled studies and keep the record; what was measured.

        Raises
        ------
        UsageError
            If the truth file is not as it must be, or nobody is named.
        PackageError
            If the package said nothing about these studies.
        """
        package = self.resolve(spec, *HERE)
        if not by.strip() or not by.isprintable() or len(by) > _LONGEST_NAME:
            raise UsageError("nobody is named", which="--by", hint="who answers for it, at most 64 characters")
        data = truth.read(commissioning.MOST_BYTES + 1)
        labels = commissioning.read_truth(data, self._store.load(package.digest).manifest)
        measured = commissioning.measure(labels, traces.of_package(self._journal, package.digest))
        record = {
            "package": package.name, "version": package.version, "digest": package.digest, "by": by.strip(),
            "at": self._journal.clock(), "truth_sha256": hashlib.sha256(data).hexdigest(), "labels": len(labels),
            "findings": [asdict(each) for each in measured],
        }  # fmt: skip
        written = json.dumps(record, indent=1).encode()
        self._store.keep_record(f"{package.name}-{package.version}-{int(self._journal.clock())}.json", written)
        cases = sum(each.positives + each.negatives for each in measured)
        packages.accept(self._journal, package.digest, cases, hashlib.sha256(written).hexdigest())
        self._bench.switch()
        return record

    def remove(self, spec: str) -> Changed:
        """Delete a package that does nothing: its row stays, so that its version is remembered."""
        package = self.resolve(spec, "INSTALLED", "RETIRED", "FAILED")
        self._journal.move("package", package.digest, package.state, "REMOVED", "person")
        self._bench.switch()
        self._store.remove(package.digest)
        return Changed(self._row(package.digest), package.state)

    def resolve(self, spec: str, *states: str) -> Installed:
        """As `resolved`, in this box's journal."""
        return resolved(self._journal, spec, *states)

    def _check_scope(self, package: Package) -> None:
        """Units are gathered by scope: a package of another one would meet units that it does not understand."""
        name = package.manifest.name
        old = packages.in_state(self._journal, name, "ACTIVE")
        try:
            other = self._store.load(old.digest) if old else self._shipped.resolve(name)
        except PackageError:
            return
        if other.manifest.scope != package.manifest.scope:
            raise PackageError(
                f"the package looks at each {package.manifest.scope}, the one it would replace at each"
                f" {other.manifest.scope}",
                which=name,
                hint="ask its vendor for a package of another name, and give it a route",
            )

    def _row(self, digest: str) -> Installed:
        found = packages.find(self._journal, digest)
        if found is None:
            raise JournalError("the journal has no such package", which=digest, hint="`edge models list`")
        return found

    def _fail(self, package: Installed, reason: str) -> None:
        self._journal.move("package", package.digest, package.state, "FAILED", reason)
        self._store.remove(package.digest)


def is_meant(package: Installed, spec: str) -> bool:
    """Whether `spec` (see `resolved`) means this package."""
    by_digest = len(spec) >= _SHORTEST_DIGEST and package.digest.startswith(spec)
    return by_digest or spec in (package.name, f"{package.name}-{package.version}")


def resolved(journal: Journal, spec: str, *states: str) -> Installed:
    """The package that `NAME`, `NAME-VERSION` or the beginning of a digest means, among those in `states`.

    Raises
    ------
    UsageError
        If none is meant. Of several versions of a name the newest is.
    """
    everything = packages.listing(journal)
    found = [each for each in everything if is_meant(each, spec) and each.state in states]
    if found:
        return max(found, key=lambda each: (each.order, each.installed_at))
    there = sorted({f"{each.name}-{each.version} is {each.state}" for each in everything if is_meant(each, spec)})
    raise UsageError(
        f"there is no such package that is {' or '.join(states)}",
        which=spec,
        hint=f"`edge models list`{': ' + ', '.join(there) if there else ''}",
    )
