"""The real R-Net: a small trained face detector, from the package facenet-pytorch (MIT licence).

The package imports torchvision; here only its weights are read, and the module is built as its own
is. `make test` installs it; without it the tests that need it are skipped.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn


class RNet(nn.Module):
    """Three convolutions with PReLU and pools that round up, a dense layer, and two answers."""

    def __init__(self):
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.softmax5_1 = nn.Linear(128, 2), nn.Softmax(dim=1)
        self.dense5_2 = nn.Linear(128, 4)

    def forward(self, x):
        """Return boxes (N, 4), and probabilities of no face and of a face (N, 2)."""
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu3(self.conv3(x))
        x = x.permute(0, 3, 2, 1).contiguous()
        x = self.prelu4(self.dense4(x.view(x.shape[0], -1)))
        return self.dense5_2(x), self.softmax5_1(self.dense5_1(x))


def rnet():
    """Return the module with its trained weights, for images of 24 × 24."""
    package = find_spec("facenet_pytorch")
    if package is None:
        pytest.skip("R-Net is in facenet-pytorch: pip install --no-deps facenet-pytorch==2.6.0")
    path = Path(package.origin).parent / "data" / "rnet.pt"
    module = RNet()
    module.load_state_dict(torch.load(path, weights_only=True))
    return module.eval()
