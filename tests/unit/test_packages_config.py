"""A Keras configuration passes only if nothing in it can be code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.errors import ImportRefused
from edge.packages.importer.config import examine


def sequential(*layers: dict[str, Any], **more: Any) -> str:
    first = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 32, 32, 3]}}
    return json.dumps({"class_name": "Sequential", "config": {"layers": [first, *layers]}, **more})


def layer(name: str, **fields: Any) -> dict[str, Any]:
    return {"class_name": name, "config": fields.pop("config", {}), **fields}


CONV = layer("Conv2D", config={"kernel_initializer": layer("GlorotUniform"), "activation": "relu"})
DENSE = layer("Dense", config={"activation": "sigmoid"})


def test_a_plain_network_is_described() -> None:
    found = examine(sequential(CONV, DENSE), "2.4.0", "m.h5")
    assert found.input_shapes == ((32, 32, 3),)
    assert found.last_activation == "sigmoid"
    assert found.written_by == "2.4.0"


def test_keras_3_spelling_is_understood() -> None:
    text = json.dumps(
        {
            "module": "keras.src.models.functional",
            "class_name": "Functional",
            "registered_name": "Functional",
            "config": {
                "input_layers": ["image", 0, 0],
                "layers": [
                    layer(
                        "InputLayer",
                        module="keras.layers",
                        registered_name=None,
                        config={"batch_shape": [None, 9, 9, 1]},
                    ),
                    layer("Add", module="keras.src.ops.numpy", registered_name="Add"),
                    layer(
                        "Dense",
                        module="keras.layers",
                        registered_name=None,
                        config={"dtype": layer("DTypePolicy", module="keras")},
                    ),
                ],
            },
            "compile_config": {"loss": layer("function", module="builtins", registered_name="function")},
        }
    )
    assert examine(text, "3.15.1", "m.keras").input_shapes == ((9, 9, 1),)


def test_two_inputs_are_counted() -> None:
    one = layer("InputLayer", config={"batch_shape": [None, 9, 9, 1]})
    config = {"input_layers": [["a", 0, 0], ["b", 0, 0]], "layers": [one, one, DENSE]}
    assert len(examine(json.dumps({"class_name": "Functional", "config": config}), "3", "m").input_shapes) == 2


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (layer("Lambda", config={"function": ["4wEAAAA=", None, None]}), "Lambda"),
        (layer("Lambda", module="keras.layers", registered_name=None), "Lambda"),
        (layer("__lambda__"), "Lambda"),
        (layer("TimeDistributed", config={"layer": layer("Lambda")}), "Lambda"),
        (layer("MyAttention"), "MyAttention"),
        (layer("Dense", registered_name="mine>Dense"), "registered"),
        (layer("Dense", registered_name="Custom>Dense", module="keras.layers"), "registered"),
        (layer("Dense", module="os"), "outside Keras"),
        (layer("Dense", module="keras.src.utils.file_utils"), "outside Keras"),
        (layer("get_file", module="keras.utils", registered_name="get_file"), "does not have"),
        (layer("function", module="builtins", registered_name="function", config="system"), "Python function"),
        (layer("get_file", module="keras.src.ops.numpy"), "not known"),
        (layer("TFOpLambda", config={"function": "io.write_file"}), "outside the list"),
        (layer("TFOpLambda", config={"function": "raw_ops.WriteFile"}), "outside the list"),
        (layer("TFOpLambda", config={"function": "math.add\n"}), "outside the list"),
        (layer("TFOpLambda"), "outside the list"),
        ({"class_name": ["Dense"]}, "without a class name"),
        ({"registered_name": "x>y"}, "without a class name"),
    ],
)
def test_what_may_be_code_is_refused(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(ImportRefused, match=said):
        examine(sequential(CONV, bad, DENSE), "2.4.0", "m.h5")


def test_plain_arithmetic_of_keras_2_passes() -> None:
    examine(sequential(layer("TFOpLambda", config={"function": "math.truediv"})), "2.4.0", "m.h5")


@pytest.mark.parametrize("text", [None, "", "{", "[]", '"x"', "[" * 100000])
def test_no_description(text: str | None) -> None:
    with pytest.raises(ImportRefused):
        examine(text, "2.4.0", "m.h5")


def test_a_bottomless_description() -> None:
    deep: dict[str, Any] = DENSE
    for _ in range(100):
        deep = {"class_name": "TimeDistributed", "config": {"layer": deep}}
    with pytest.raises(ImportRefused, match="too deep"):
        examine(sequential(deep), "2.4.0", "m.h5")
