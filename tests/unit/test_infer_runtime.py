"""The provider that was asked for runs the whole graph, or loading fails.

No GPU is needed: the runtime of every wheel has a provider that can run none of our operators, which stands in for a
GPU that cannot run one of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import package_maker
import pytest

from edge.errors import RuntimeFailure
from edge.infer import runtime
from edge.infer.runtime import Session

RUNS_NOTHING = "AzureExecutionProvider"


@pytest.fixture
def a_gpu_that_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    if RUNS_NOTHING not in runtime.ort.get_available_providers():
        pytest.skip(f"this onnxruntime has no {RUNS_NOTHING}")
    monkeypatch.setitem(runtime._PROVIDERS, "cuda", RUNS_NOTHING)


@pytest.mark.usefixtures("a_gpu_that_runs_nothing")
def test_operators_that_the_backend_cannot_run_never_run_on_the_processor_in_silence() -> None:
    with pytest.raises(RuntimeFailure):
        Session(package_maker.mean_model(), backends=("cuda",))


def test_the_processor_runs_when_it_is_what_was_asked_for() -> None:
    session = Session(package_maker.mean_model(), backends=("cpu",))

    assert session.provider == "CPUExecutionProvider"
    assert session.run({"input": np.zeros(package_maker.SHAPE, np.float32)})["output"].shape == (1, 1)


@pytest.mark.parametrize(("backend", "alone"), [("cuda", "1"), ("tensorrt", "1"), ("cpu", None)])
def test_what_the_runtime_is_told(monkeypatch: pytest.MonkeyPatch, backend: str, alone: str | None) -> None:
    told: dict[str, Any] = {}

    class Told:
        """Stands in for a session on a GPU: keeps what the runtime would have been told."""

        def __init__(self, _: bytes, options: Any, *, providers: list[str], **others: Any) -> None:
            told.update(others, options=options, providers=providers)

        def get_providers(self) -> list[str]:
            return [*told["providers"], "CPUExecutionProvider"]

        def get_outputs(self) -> list[Any]:
            return []

    monkeypatch.setattr(runtime.ort, "InferenceSession", Told)
    monkeypatch.setattr(runtime.ort, "get_available_providers", lambda: list(runtime._PROVIDERS.values()))

    session = Session(b"", backends=(backend,))

    assert told["providers"] == [session.provider]
    assert told["enable_fallback"] == 0, "onnxruntime would make a failed session anew on the processor"
    if alone is None:
        with pytest.raises(RuntimeError):
            told["options"].get_session_config_entry("session.disable_cpu_ep_fallback")
    else:
        assert told["options"].get_session_config_entry("session.disable_cpu_ep_fallback") == alone
