"""Images per second of ``attar batch``, beside decoding alone and beside other libraries' ways.

    python -m benchmarks.scale --out benchmarks/results/scale/<date>-<processor>.json

For each size of JPEG, whole runs in processes of their own, one after the other, the best of some:
decoding alone (simplejpeg to RGB, in as many processes), ``attar batch`` with one and with all
workers, from red, green and blue and from the brightness that JPEGs store, a PyTorch DataLoader
with convolution, ReLU and pool, and TensorFlow's tf.data with the same. What each computes is
checked on an image before. A rate is of what comes after a run has started: a run of few images is
taken off.
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
DIFFERENT = 12
IMAGES = {"0.5 MP": 4000, "2 MP": 1200, "12 MP": 240}
OF_PEERS = {"0.5 MP": 600, "2 MP": 150, "12 MP": 36}  # theirs take long enough as it is
KERNEL = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)


def make(folder: Path, size: tuple[int, int]) -> None:
    """Write JPEGs of photographs with some grain."""
    from skimage import data

    photographs = [data.astronaut(), data.coffee(), data.chelsea()]
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(DIFFERENT):
        image = Image.fromarray(photographs[i % 3]).resize(size[::-1], Image.Resampling.BICUBIC)
        grain = rng.integers(-6, 7, (*size, 3))
        pixels = np.clip(np.asarray(image).astype(int) + grain, 0, 255).astype(np.uint8)
        data_of_file = simplejpeg.encode_jpeg(pixels, quality=90, colorsubsampling="420")
        (folder / f"{i:06d}.jpg").write_bytes(data_of_file)


def make_small(folder: Path) -> None:
    """Write small JPEGs that are all different: what is kept of an image depends on its hash."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    for i in range(1024):
        pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
        (folder / f"{i:06d}.jpg").write_bytes(simplejpeg.encode_jpeg(pixels))


def repeat(folder: Path, count: int) -> Path:
    """Return a folder of so many pictures, which are links to those of `folder`."""
    links = folder.with_name(f"{folder.name}-{count}")
    if not links.exists():
        links.mkdir()
        for i in range(count):
            os.link(folder / f"{i % DIFFERENT:06d}.jpg", links / f"{i:06d}.jpg")
    return links


# ------------------------------------------------------------------ what is timed, each a process


def _decode(path: Path) -> int:
    return int(simplejpeg.decode_jpeg(path.read_bytes(), "RGB").shape[0])


def decode(folder: Path, workers: int) -> None:
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for _ in pool.imap_unordered(_decode, sorted(folder.iterdir()), chunksize=8):
            pass


def attar(folder: Path, workers: int, color: str = "gray") -> None:
    from attar import batch

    with tempfile.TemporaryDirectory() as out:
        report = batch.run(
            folder, Path(out) / "features", color=color, reduce="gap", workers=workers
        )
        assert report.failed == 0


def luma(folder: Path, workers: int) -> None:
    attar(folder, workers, color="luma")


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


WAYS = {
    "decode": decode,
    "attar": attar,
    "luma": luma,
    "dataloader": dataloader,
    "tf.data": tf_data,
}
PEERS = ("dataloader", "tf.data")


def check(folder: Path) -> None:
    """Check that the ways give the same number for an image."""
    from attar import extract, read_image

    path = folder / "000000.jpg"
    ours = extract(read_image(path, color="gray"), "edge", stages=False).condense.mean()
    pixels = simplejpeg.decode_jpeg(path.read_bytes(), "RGB")
    np.testing.assert_allclose(float(torch_features(pixels)), ours, rtol=1e-4)
    # TensorFlow decodes with the fast DCT of libjpeg, whose pixels differ a little.
    np.testing.assert_allclose(float(tf_features(path.read_bytes())), ours, rtol=2e-2)
    luma = extract(read_image(path, color="luma"), "edge", stages=False).condense.mean()
    np.testing.assert_allclose(luma, ours, rtol=2e-2)


def written(folder: Path, **options: Any) -> float:
    """Return how many bytes `attar batch` writes for an image."""
    from attar import batch

    with tempfile.TemporaryDirectory() as out:
        report = batch.run(folder, Path(out) / "features", **options)
        files = (file for file in (Path(out) / "features").rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files) / report.images_done


def seconds(way: str, folder: Path, workers: int) -> float:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.scale", "--way", way, str(folder), str(workers)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def images_of(way: str, size: str) -> int:
    """Return how many images a run has."""
    return (OF_PEERS if way in PEERS else IMAGES)[size]


def measure(repeats: int, sizes: list[str]) -> dict[str, Any]:
    most = machine.default_threads()
    runs = [(way, workers) for workers in (1, most) for way in ("decode", "attar", "luma")]
    runs += [(peer, most) for peer in PEERS]
    rates: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root:
        small = Path(root) / "small"
        make_small(small)
        bytes_of_means = written(small, reduce="gap", shard_images=256)
        for size in sizes:
            folder = Path(root) / size.replace(" ", "")
            make(folder, SIZES[size])
            check(folder)
            best = {}
            for _ in range(repeats):
                for way, workers in runs:
                    for images in (DIFFERENT, images_of(way, size)):
                        taken = seconds(way, repeat(folder, images), workers)
                        key = way, workers, images
                        best[key] = min(best.get(key, taken), taken)
            rates[size] = {
                "bytes_per_image": sum(file.stat().st_size for file in folder.iterdir())
                / DIFFERENT,
                "bytes_of_means": bytes_of_means,
                "bytes_of_maps": written(folder),
            }
            for way, workers in runs:
                count = images_of(way, size)
                start, whole = best[way, workers, DIFFERENT], best[way, workers, count]
                rates[size][f"{way} x{workers}"] = {
                    "images_per_second": (count - DIFFERENT) / (whole - start),
                    "images": count,
                    "seconds": whole,
                    "seconds_of_few": start,
                }
                rate = rates[size][f"{way} x{workers}"]["images_per_second"]
                print(f"{size} {way} x{workers}: {rate:.1f}/s", flush=True)
            for each in Path(root).glob(f"{folder.name}*"):
                shutil.rmtree(each)
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
        found = {"machine": about, "sizes": rates}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
