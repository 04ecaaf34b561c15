"""The one door to sqlite3: a connection with our pragmas, transactions that nest, migrations in order."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Row = sqlite3.Row
IntegrityError = sqlite3.IntegrityError
DatabaseError = sqlite3.DatabaseError
Value = str | int | float | bytes | None
_CHECKPOINT_PAGES = 4000
"""16 MiB of log: a checkpoint flushes twice while everybody waits, so it comes every 500 images and not every 120."""


def is_full(error: BaseException) -> bool:
    """Whether what failed had no room on the disk: the machine's trouble, which passes, and not the job's."""
    if isinstance(error, DatabaseError):
        return getattr(error, "sqlite_errorname", "") in ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class Database:
    """One connection, used by several threads in turn.

    Parameters
    ----------
    path : Path
        The database file.
    durable : bool
        True flushes each commit (synchronous=FULL); False leaves the last commits to the next flush (NORMAL).
    create : bool
        Whether a missing file is made; the rooms pass False, so that modes are set by `edge init` alone.
    """

    def __init__(self, path: Path, *, durable: bool, create: bool = False) -> None:
        mode = "rwc" if create else "rw"
        self._connection = sqlite3.connect(
            f"file:{path}?mode={mode}", uri=True, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        self._lock = threading.RLock()
        self._depth = 0
        self._durable = durable
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={'FULL' if durable else 'NORMAL'}",
            "foreign_keys=ON",
            "secure_delete=ON",
            "trusted_schema=OFF",
            f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
        ):
            self._connection.execute(f"PRAGMA {pragma}").close()

    @contextmanager
    def transaction(self, *, flush: bool = True) -> Iterator[None]:
        """All or nothing; nested uses join the outermost.

        `flush = False` spares a durable connection the flush of this commit: right for what a power cut may take
        back because it is done again from what is durable.
        """
        with self._lock:
            if self._depth:
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
                return
            with self._synchronous("NORMAL" if self._durable and not flush else ""):
                yield from self._outermost()

    def _outermost(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        else:
            self._connection.execute("COMMIT")
        finally:
            self._depth = 0

    @contextmanager
    def _synchronous(self, level: str) -> Iterator[None]:
        """Commit with `level` meanwhile; an empty one changes nothing."""
        if level:
            self._connection.execute(f"PRAGMA synchronous={level}").close()
        try:
            yield
        finally:
            if level:
                self._connection.execute("PRAGMA synchronous=FULL").close()

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run one statement; returns the number of rows it changed."""
        with self._lock:
            cursor = self._connection.execute(sql, values)
            try:
                return cursor.rowcount
            finally:
                cursor.close()

    def insert(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run one INSERT; returns the new row's id."""
        with self._lock:
            cursor = self._connection.execute(sql, values)
            try:
                return cursor.lastrowid or 0
            finally:
                cursor.close()

    def rows(self, sql: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> list[Row]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> Row | None:
        """The first row of a query, or None."""
        found = self.rows(sql, values)
        return found[0] if found else None

    @property
    def version(self) -> int:
        """The number of the last migration applied; 0 for a new file."""
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @property
    def readable_by(self) -> int:
        """The earliest schema whose software can go on with this file, as its last migration said; 0 where none did."""
        return int(self._connection.execute("PRAGMA application_id").fetchone()[0])

    def migrate(self, folder: Path) -> int:
        """Apply `folder`/NNN.sql files newer than the database; returns its schema version."""
        with self._lock:
            version = self.version
            for script in sorted(folder.glob("[0-9][0-9][0-9].sql")):
                number = int(script.stem)
                if number > version:
                    sql = script.read_text("utf-8")
                    self._connection.executescript(f"BEGIN;\n{sql}\nPRAGMA user_version={number};\nCOMMIT;")
                    version = number
            return version

    def copy_to(self, path: Path) -> None:
        """Write all of it, as it is at one moment, into the new file `path`; writers go on meanwhile."""
        with self._lock:
            self._connection.execute("VACUUM INTO ?", (str(path),)).close()

    def close(self) -> None:
        with self._lock:
            self._connection.close()
