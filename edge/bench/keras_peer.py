"""Keras as a peer of `edge bench infer`: its own two networks with random weights, as a TensorFlow graph."""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

Numbers = npt.NDArray[np.float32]


def version() -> str:
    """What is measured."""
    return f"keras {keras.__version__} tf.function"


def compiled(name: str, classes: int, threads: int) -> Callable[[Numbers], Numbers]:
    """A function from images with their channels first; the networks are Keras' own, so only their cost compares."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    make = {"ResNet-50": keras.applications.ResNet50, "DenseNet-121": keras.applications.DenseNet121}[name]
    model = make(weights=None, classes=classes, classifier_activation="sigmoid")
    call = tf.function(lambda image: model(image, training=False))

    def run(image: Numbers) -> Numbers:
        found: Numbers = call(tf.constant(image.transpose(0, 2, 3, 1))).numpy()
        return found

    return run
