"""Images per second of ``attar batch``, beside decoding alone and beside other libraries' ways.

    python -m benchmarks.scale --out benchmarks/results/scale.json

For each size of JPEG, whole runs in processes of their own, one after the other, the best of some:
decoding alone (simplejpeg to RGB, in as many processes), ``attar batch`` with one and with all
workers, a PyTorch DataLoader with convolution, ReLU and pool, and TensorFlow's tf.data with the
same. What each computes is checked on an image before. Starting is part of a run.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from benchmarks import machine

SIZES = {"0.5 MP": (612, 816), "2 MP": (1224, 1632), "12 MP": (3000, 4000)}
IMAGES = {"0.5 MP": 1500, "2 MP": 500, "12 MP": 90}
DIFFERENT = 12
KERNEL = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)


def make(folder: Path, size: tuple[int, int], count: int) -> None:
    """Write JPEGs of photographs; most of them are links to a few."""
    from skimage import data

    photographs = [data.astronaut(), data.coffee(), data.chelsea()]
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(count):
        path = folder / f"{i:06d}.jpg"
        if i >= DIFFERENT:
            os.link(folder / f"{i % DIFFERENT:06d}.jpg", path)
            continue
        image = Image.fromarray(photographs[i % 3]).resize(size[::-1], Image.Resampling.BICUBIC)
        grain = rng.integers(-6, 7, (*size, 3))
        pixels = np.clip(np.asarray(image).astype(int) + grain, 0, 255).astype(np.uint8)
        path.write_bytes(simplejpeg.encode_jpeg(pixels, quality=90, colorsubsampling="420"))


# ------------------------------------------------------------------ what is timed, each a process


def _decode(path: Path) -> int:
    return int(simplejpeg.decode_jpeg(path.read_bytes(), "RGB").shape[0])


def decode(folder: Path, workers: int) -> None:
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for _ in pool.imap_unordered(_decode, sorted(folder.iterdir()), chunksize=8):
            pass


def attar(folder: Path, workers: int) -> None:
    from attar import batch

    with tempfile.TemporaryDirectory() as out:
        report = batch.run(folder, Path(out) / "features", reduce="gap", workers=workers)
        assert report.failed == 0


def torch_features(image: np.ndarray) -> Any:
    import torch

    gray = torch.from_numpy(image).float() @ torch.tensor([0.299, 0.587, 0.114]) / 255
    kernel = torch.from_numpy(KERNEL)[None, None]
    map = torch.nn.functional.conv2d(gray[None, None], kernel, padding=1).relu()
    return torch.nn.functional.max_pool2d(map, 2, ceil_mode=True).mean()


def dataloader(folder: Path, workers: int) -> None:
    import torch

    class Photographs(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.files = sorted(folder.iterdir())

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, index: int) -> Any:
            return torch_features(np.asarray(Image.open(self.files[index]).convert("RGB")))

    loader = torch.utils.data.DataLoader(Photographs(), batch_size=8, num_workers=workers)
    for _ in loader:
        pass


def tf_features(data: Any) -> Any:
    import tensorflow as tf

    image = tf.cast(tf.io.decode_jpeg(data, channels=3), tf.float32) / 255
    gray = tf.tensordot(image, tf.constant([0.299, 0.587, 0.114]), 1)[None, :, :, None]
    map = tf.nn.relu(tf.nn.conv2d(gray, KERNEL[:, :, None, None], 1, "SAME"))
    return tf.reduce_mean(tf.nn.max_pool2d(map, 2, 2, "SAME"))


def tf_data(folder: Path, workers: int) -> None:
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(workers)
    tf.config.threading.set_intra_op_parallelism_threads(workers)
    files = tf.data.Dataset.from_tensor_slices([str(path) for path in sorted(folder.iterdir())])
    features = files.map(
        lambda path: tf_features(tf.io.read_file(path)), num_parallel_calls=workers
    )
    for _ in features.prefetch(4):
        pass


WAYS = {"decode": decode, "attar": attar, "dataloader": dataloader, "tf.data": tf_data}


def check(folder: Path) -> None:
    """Check that the ways give the same number for an image."""
    from attar import extract, read_image

    path = folder / "000000.jpg"
    ours = extract(read_image(path, color="gray"), "edge", stages=False).condense.mean()
    pixels = simplejpeg.decode_jpeg(path.read_bytes(), "RGB")
    np.testing.assert_allclose(float(torch_features(pixels)), ours, rtol=1e-4)
    # TensorFlow decodes with the fast DCT of libjpeg, whose pixels differ a little.
    np.testing.assert_allclose(float(tf_features(path.read_bytes())), ours, rtol=2e-2)


def seconds(way: str, folder: Path, workers: int) -> float:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.scale", "--way", way, str(folder), str(workers)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def measure(repeats: int, sizes: list[str]) -> dict[str, Any]:
    most = machine.default_threads()
    runs = [("decode", 1), ("attar", 1), ("decode", most), ("attar", most)]
    runs += [("dataloader", most), ("tf.data", most)]
    rates: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root:
        for size in sizes:
            folder = Path(root) / size.replace(" ", "")
            make(folder, SIZES[size], IMAGES[size])
            check(folder)
            best = dict.fromkeys(runs, float("inf"))
            for _ in range(repeats):
                for run in runs:
                    best[run] = min(best[run], seconds(run[0], folder, run[1]))
            rates[size] = {f"{way} x{n}": IMAGES[size] / best[way, n] for way, n in runs}
            rates[size]["bytes"] = sum(path.stat().st_size for path in folder.iterdir())
            rates[size]["images"] = IMAGES[size]
            print(size, {name: round(rate, 2) for name, rate in rates[size].items()}, flush=True)
            shutil.rmtree(folder)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--way", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        way, folder, workers = options.way
        WAYS[way](Path(folder), int(workers))
        return
    rates = measure(options.repeats, options.sizes)
    if options.out:
        versions = {
            name: metadata.version(name) for name in ("simplejpeg", "torch", "tensorflow_cpu")
        }
        about = machine.describe(machine.default_threads(), versions)
        found = {"machine": about, "images_per_second": rates}
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
