"""The measurement of inference on a small network: it ends, its figures fit together, its peers compute the same."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from edge.bench import infer, networks
from edge.infer.runtime import Session
from edge.packages import graph


def small() -> networks.Network:
    """Every operator that the two networks have."""
    net = networks.Network("Small")
    out = net.add("MaxPool", networks.INPUT, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    out = net.norm(net.conv(out, (3, 8), 3, 2), 8)
    out = net.add("Concat", out, net.add("Add", out, out), axis=1)
    out = net.add("AveragePool", out, kernel_shape=[2, 2], strides=[2, 2])
    return net.head(out, 16)


def test_it_measures_and_its_figures_fit_together() -> None:
    document = infer.run(1, (small,))
    for row in document["rows"]:
        assert {"task", "peer_name", "ours", "peer", "ratio", "ratio_range", "n"} <= row.keys()
        assert row["ours"] > 0
    throughput, *_, request = document["rows"]
    assert "Small" in throughput["task"]
    assert request["ratio"] < 1
    assert 0 < document["overhead_ms"]["p10"] <= document["overhead_ms"]["p50"] < request["ours"]
    assert 0 < document["ready_s"] < 60


@pytest.mark.parametrize("make", [networks.resnet50, networks.densenet121])
def test_the_networks_are_those_of_the_papers(make: infer.Callable[[], networks.Network]) -> None:
    """By their parameters, with a head of 14 classes instead of 1000 and no biases."""
    network = make()
    found = graph.inspect(networks.onnx_of(network))
    trained = sum(value.size for value in network.weights.values()) - _statistics(network)
    head = {"ResNet-50": (2048, 25_557_032), "DenseNet-121": (1024, 7_978_856)}[network.name]
    assert trained == head[1] - 1000 * (head[0] + 1) + 14 * head[0]
    assert found.outputs[0].shape == (1, 14)


def _statistics(network: networks.Network) -> int:
    """Means and variances, which no one trains."""
    return sum(
        network.weights[name].size for node in network.nodes if node.operator == "BatchNormalization"
        for name in node.inputs[3:]
    )  # fmt: skip


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="torch is not installed (extra `bench`)")
def test_torch_computes_the_same() -> None:
    from edge.bench import torch_peer

    network = small()
    image = np.random.default_rng(3).random((1, 3, networks.SIDE, networks.SIDE), np.float32)
    ours = Session(networks.onnx_of(network), backends=("cpu",)).run({networks.INPUT: image})[networks.OUTPUT]
    np.testing.assert_allclose(torch_peer.compiled(network.nodes, network.weights, 1)(image), ours, atol=1e-5)
