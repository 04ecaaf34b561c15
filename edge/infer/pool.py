"""The warm workers of every package: borrowed for one data set, kept, replaced when they die."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from edge.infer.process import Model, Worker, close_model
from edge.infer.protocol import Answer, Run


class Pool:
    """Workers by key: a package's digest. Callers (the lanes) are never more than `limit`, so neither are busy workers.

    One spare of each package is kept warm; more are started when they are needed, and kept while there is room.
    """

    def __init__(self, models: dict[str, Model], limit: int) -> None:
        self._models = dict(models)
        self._limit = limit
        self._lock = threading.Lock()
        self._idle: dict[str, list[Worker]] = {key: [] for key in models}
        self._busy: dict[Worker, str] = {}
        self._closed = False

    def warm(self) -> None:
        """Start one worker of each package; it loads while others go on."""
        for key, model in list(self._models.items()):
            self._keep(key, Worker(model))

    def add(self, key: str, model: Model, workers: Iterable[Worker] = ()) -> None:
        """One more package, with workers that have it loaded already."""
        with self._lock:
            self._models[key] = model
            self._idle.setdefault(key, [])
        for worker in workers:
            self._keep(key, worker)

    def drop(self, key: str) -> None:
        """The package is not evaluated any more; its workers end, a busy one after what it is doing."""
        with self._lock:
            model = self._models.pop(key, None)
            workers = self._idle.pop(key, [])
        for worker in workers:
            worker.kill()
        if model is not None:
            close_model(model)

    def on_stage(self) -> list[str]:
        """The packages that can be evaluated now."""
        with self._lock:
            return list(self._models)

    def count(self, key: str) -> int:
        """How many workers this package has."""
        with self._lock:
            return len(self._idle.get(key, ())) + sum(each == key for each in self._busy.values())

    def evaluate(self, key: str, data: int, run: Run) -> tuple[Answer, str]:
        """The answer on the unit in descriptor `data`, and the provider that gave it."""
        worker = self._take(key)
        try:
            answer = worker.run(data, run)
            return answer, worker.provider
        finally:
            self._give_back(key, worker)

    def pids(self) -> list[int]:
        """The processes of all living workers."""
        return [worker.pid for worker in self._workers() if worker.is_alive]

    def close(self) -> None:
        """End every worker."""
        with self._lock:
            self._closed = True
        for worker in self._workers():
            worker.kill()

    def _workers(self) -> list[Worker]:
        with self._lock:
            return [*self._busy, *(worker for idle in self._idle.values() for worker in idle)]

    def _take(self, key: str) -> Worker:
        with self._lock:
            worker = next((each for each in reversed(self._idle[key]) if each.is_alive), None)
            if worker is not None:
                self._idle[key].remove(worker)
                self._busy[worker] = key
                return worker
            self._make_room()
            model = self._models[key]
        worker = Worker(model)
        with self._lock:
            self._busy[worker] = key
        return worker

    def _give_back(self, key: str, worker: Worker) -> None:
        with self._lock:
            self._busy.pop(worker, None)
            model = self._models.get(key)
            alone = not self._idle.get(key)
        if worker.is_alive:
            self._keep(key, worker)
            return
        worker.kill()
        if model is not None and alone:
            self._keep(key, Worker(model))

    def _keep(self, key: str, worker: Worker) -> None:
        with self._lock:
            if not self._closed and key in self._models:
                self._idle[key].append(worker)
                return
        worker.kill()

    def _make_room(self) -> None:
        """One idle worker more than the spare of its package goes, when there are too many (lock held)."""
        count = len(self._busy) + sum(len(idle) for idle in self._idle.values())
        fullest = max(self._idle.values(), key=len)
        if count >= self._limit + len(self._models) and len(fullest) > 1:
            fullest.pop(0).kill()
