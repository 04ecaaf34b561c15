"""onnxruntime, and nothing else of it anywhere: sessions with an explicit provider that is verified after load.

In: the bytes of a checked graph and the backends its manifest approves, in order. Out: named output arrays.
Invariant: the provider that was asked for runs the whole graph, or loading fails; nothing is sent to the maker of
the runtime (its telemetry asks DNS at every session unless it is switched off before the import).
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from edge.errors import RuntimeFailure

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def available() -> tuple[str, ...]:
    """The backends that the installed runtime offers on this machine."""
    here = ort.get_available_providers()
    return tuple(name for name, provider in _PROVIDERS.items() if provider in here)


def choose(backends: tuple[str, ...]) -> str:
    """onnxruntime's name of the first of `backends` that this machine offers. Raises RuntimeFailure."""
    available = ort.get_available_providers()
    for name in backends:
        if _PROVIDERS.get(name) in available:
            return _PROVIDERS[name]
    raise RuntimeFailure(
        f"none of the approved backends ({', '.join(backends)}) is on this machine",
        hint="install edge-imaging[cpu] or edge-imaging[gpu]",
    )


class Session:
    """One loaded graph. `provider` is onnxruntime's name of what really runs it."""

    def __init__(self, model: bytes, *, backends: tuple[str, ...], threads: int = 1) -> None:
        """Load `model` on the first of `backends` that this machine offers.

        Raises
        ------
        RuntimeFailure
            If no approved backend is here, the graph cannot be loaded, or another provider would run any of it.
        MemoryError
            If the memory that this process may use is too little for it.
        """
        wanted = choose(backends)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if wanted != _PROVIDERS["cpu"]:
            # the runtime adds the processor to every list, for operators that the others cannot run
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            # and a session that fails it would make anew on the processor, at load and at run
            self._session = ort.InferenceSession(model, options, providers=[wanted], enable_fallback=0)
        except Exception as error:  # noqa: BLE001 - the runtime raises a dozen private classes
            _check_memory(error)
            raise RuntimeFailure(
                f"the graph cannot be loaded ({type(error).__name__})", which="model.onnx", hint="check the package"
            ) from None
        self.provider: str = self._session.get_providers()[0]
        if self.provider != wanted:
            raise RuntimeFailure(
                f"{wanted} was asked for, {self.provider} came",
                hint="correct the driver, or approve the other backend",
            )
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: dict[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """The outputs by name. Raises RuntimeFailure if the graph refuses the inputs or fails, or MemoryError."""
        try:
            values = self._session.run(self._outputs, inputs)
        except Exception as error:  # noqa: BLE001 - as above
            _check_memory(error)
            raise RuntimeFailure(
                f"the graph cannot be run ({type(error).__name__})", which="model.onnx", hint="check the package"
            ) from None
        return dict(zip(self._outputs, values, strict=True))


def _check_memory(error: Exception) -> None:
    """The runtime says in words what Python has a class for."""
    text = str(error).lower()
    if isinstance(error, MemoryError) or "bad_alloc" in text or "failed to allocate memory" in text:
        raise MemoryError from None
