"""Writes a bag of small Keras models with random weights, as Keras 2 and Keras 3 save them: `python keras_bag.py DIR`.

Runs in a process of its own: TensorFlow warns a lot while it is imported, and warnings are errors in tests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import tf_keras


def plain(k: Any, side: int = 24, channels: int = 3) -> Any:
    layers = k.layers
    return k.Sequential(
        [
            k.Input((side, side, channels)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def functional(k: Any) -> Any:
    layers = k.layers
    image = k.Input((32, 32, 1), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Add()([x, layers.Conv2D(8, 1)(x)])
    x = layers.GlobalAveragePooling2D()(x)
    return k.Model(image, layers.Dense(3, activation="softmax")(x))


def augmented(k: Any) -> Any:
    layers = k.layers
    return k.Sequential(
        [
            k.Input((24, 24, 3)),
            layers.Rescaling(1 / 255),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )


def two_outputs(k: Any) -> Any:
    layers = k.layers
    image = k.Input((24, 24, 1))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(image))
    return k.Model(image, [layers.Dense(1, activation="sigmoid")(x), layers.Dense(4, activation="softmax")(x)])


def recurrent(k: Any) -> Any:
    layers = k.layers
    image = k.Input((16, 16, 1))
    x = layers.Reshape((8, 32))(layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same")(image)))
    return k.Model(image, layers.Dense(1, activation="sigmoid")(layers.LSTM(5)(x)))


def tabular(k: Any) -> Any:
    return k.Sequential([k.Input((30,)), k.layers.Dense(4, activation="relu"), k.layers.Dense(1)])


def with_lambda(k: Any, marker: Path) -> Any:
    """Its layer writes a file when the model is loaded: nothing may ever load it."""

    def harm(x: Any, where: str = str(marker)) -> Any:
        from pathlib import Path

        Path(where).write_text("code of a model file ran")
        return x

    return k.Sequential([k.Input((8, 8, 1)), k.layers.Lambda(harm), k.layers.Flatten(), k.layers.Dense(1)])


def main(folder: Path) -> None:
    keras.utils.set_random_seed(1)
    for name, build in (("plain", plain), ("functional", functional), ("augmented", augmented)):
        build(keras).save(folder / f"k3_{name}.keras")
        build(tf_keras).save(folder / f"k2_{name}.h5")
    plain(keras).save(folder / "k3_plain.h5")
    functional(tf_keras).save(folder / "k2_functional.keras")
    two_outputs(keras).save(folder / "k3_two_outputs.keras")
    recurrent(keras).save(folder / "k3_recurrent.keras")
    tabular(keras).save(folder / "k3_tabular.keras")
    plain(keras).save_weights(folder / "k3_only.weights.h5")
    with_lambda(keras, folder / "ran-k3").save(folder / "k3_lambda.keras")
    with_lambda(tf_keras, folder / "ran-k2").save(folder / "k2_lambda.h5")
    for marker in folder.glob("ran-*"):
        marker.unlink()
    tf.saved_model.save(functional(tf_keras), str(folder / "saved"))
    functional(keras).export(folder / "exported")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
