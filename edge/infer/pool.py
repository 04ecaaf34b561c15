"""The warm workers of every package: borrowed for one data set, kept, replaced when they die."""

from __future__ import annotations

import threading

from edge.infer.process import Model, Worker
from edge.infer.protocol import Answer


class Pool:
    """Workers by package name. Callers (the lanes) are never more than `limit`, so neither are busy workers.

    One spare of each package is kept warm; more are started when they are needed, and kept while there is room.
    """

    def __init__(self, models: dict[str, Model], limit: int) -> None:
        self._models = models
        self._limit = limit
        self._lock = threading.Lock()
        self._idle: dict[str, list[Worker]] = {name: [] for name in models}
        self._busy: set[Worker] = set()
        self._closed = False

    def warm(self) -> None:
        """Start one worker of each package; it loads while others go on."""
        for name in self._models:
            self._keep(name, Worker(self._models[name]))

    def evaluate(self, name: str, data: int, size: int, transfer_syntax_uid: str) -> tuple[Answer, str]:
        """The answer on the data set in descriptor `data`, and the provider that gave it."""
        worker = self._take(name)
        try:
            answer = worker.run(data, size, transfer_syntax_uid)
            return answer, worker.provider
        finally:
            self._give_back(name, worker)

    def pids(self) -> list[int]:
        """The processes of all living workers."""
        with self._lock:
            workers = [*self._busy, *(worker for idle in self._idle.values() for worker in idle)]
        return [worker.pid for worker in workers if worker.is_alive]

    def close(self) -> None:
        """End every worker."""
        with self._lock:
            self._closed = True
            workers = [*self._busy, *(worker for idle in self._idle.values() for worker in idle)]
            self._idle = {name: [] for name in self._models}
        for worker in workers:
            worker.kill()

    def _take(self, name: str) -> Worker:
        with self._lock:
            worker = next((each for each in reversed(self._idle[name]) if each.is_alive), None)
            if worker is not None:
                self._idle[name].remove(worker)
                self._busy.add(worker)
                return worker
            self._make_room()
        worker = Worker(self._models[name])
        with self._lock:
            self._busy.add(worker)
        return worker

    def _give_back(self, name: str, worker: Worker) -> None:
        with self._lock:
            self._busy.discard(worker)
        if worker.is_alive:
            self._keep(name, worker)
            return
        worker.kill()
        if not self._idle[name]:
            self._keep(name, Worker(self._models[name]))

    def _keep(self, name: str, worker: Worker) -> None:
        with self._lock:
            if not self._closed:
                self._idle[name].append(worker)
                return
        worker.kill()

    def _make_room(self) -> None:
        """One idle worker more than the spare of its package goes, when there are too many (lock held)."""
        count = len(self._busy) + sum(len(idle) for idle in self._idle.values())
        fullest = max(self._idle.values(), key=len)
        if count >= self._limit + len(self._models) and len(fullest) > 1:
            fullest.pop(0).kill()
