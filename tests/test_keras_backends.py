"""attar.keras on the other backends of Keras: one is chosen for a process, so each gets its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(backend, *arguments):
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiled once, run once
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def needs(package):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


# Layouts and axes are a matter of attar.nn: PyTorch's run has them all.
@pytest.mark.parametrize(
    ("backend", "package", "chosen"),
    [
        ("tensorflow", "tensorflow", "not channels_first"),
        ("jax", "jax", "not channels_first and not 3D and not 1D and not Adaptive"),
        # Keras' backend for NumPy imports JAX.
        ("numpy", "jax", "test_answer_and_gradient_are and not channels_first and not 3D"),
    ],
    ids=["tensorflow", "jax", "numpy"],
)
def test_the_tests_pass_on(backend, package, chosen):
    needs(package)
    files = [HERE / f"test_keras_{name}.py" for name in ("layers", "extract", backend)]
    paths = [str(file) for file in files if file.exists()]
    options = ["-q", "-W", "ignore", "-p", "no:cacheprovider", "-k", chosen]
    assert " passed" in run(backend, "-m", "pytest", *options, *paths)


ONE_PROCESSOR = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax, numpy as np
from attar.keras import AveragePooling2D, LPPool2D, MaxPooling2D
layers = [MaxPooling2D(), AveragePooling2D(2), LPPool2D()]
total = lambda x: sum((layer(x * 2) ** 2).sum() for layer in layers)
x = np.ones((8, 256, 256, 8), "float32")
print(jax.jit(jax.grad(total))(x).shape)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be held here")
def test_on_jax_large_arrays_need_no_second_thread():
    needs("jax")
    assert run("jax", "-c", ONE_PROCESSOR).strip() == "(8, 256, 256, 8)"


OPENVINO = """
import numpy as np
import attar
from attar import keras
x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
assert np.array(keras.MaxPooling2D()(x)).ravel().tolist() == [5, 7, 13, 15]
try:
    keras.LPPool2D()(x)
except attar.AttarError as error:
    assert "got a tensor of Keras' backend 'openvino'" in str(error)
    print("refused")
"""


def test_on_openvino_keras_computes_what_it_can():
    needs("openvino")
    assert run("openvino", "-c", OPENVINO).strip() == "refused"


WITHOUT_KERAS = """
import sys
sys.modules["keras"] = None  # as if it were not installed
import attar
from attar import *
assert "keras" in dir(attar)
try:
    attar.keras
except ImportError as error:
    print(error)
"""


def test_without_keras_the_error_names_what_to_install():
    assert "pip install 'attar[keras]'" in run("torch", "-c", WITHOUT_KERAS)


def test_attar_itself_does_not_import_keras():
    loaded = run("torch", "-c", "import attar, sys; print('keras' in sys.modules)")
    assert loaded.strip() == "False"
