"""What a repair must compute, in plain code, and models to repair."""

import math

import numpy as np


def windows(size, window, stride, pad, ceil_mode=False, dilation=1):
    """How many outputs an operation with a stride has along an axis, by PyTorch's rule."""
    reach = (window - 1) * dilation + 1
    room = size + pad[0] + pad[1] - reach
    if room < 0:
        return 0
    out = math.floor(room / stride) + 1
    if ceil_mode:
        out = math.ceil(room / stride) + 1
        if (out - 1) * stride >= size + pad[0]:
            out -= 1
    return out


def dense_pool(x, window, stride, pads, ceil_mode, mean=False, count_pad=False):
    """Every window of (N, C, H, W), where a stride of 1 begins one and `stride` keeps enough."""
    top, left, bottom, right = pads
    behind = [bottom, right]
    if ceil_mode:
        behind = [
            max(pad, min(pad + step - 1, size - 1))
            for pad, step, size in zip(behind, stride, window, strict=True)
        ]
    edge = ((0, 0), (0, 0), (top, behind[0]), (left, behind[1]))
    padded = np.pad(x, edge, constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, window, (2, 3))
    if mean and count_pad:
        return np.nan_to_num(views).mean((-2, -1))
    return (np.nanmean if mean else np.nanmax)(views, axis=(-2, -1))


def row(taps):
    return np.array([math.comb(taps - 1, k) for k in range(taps)]) / 2 ** (taps - 1)


def blurred(x, taps, stride):
    """Filter (N, C, H, W) with mirrored borders, and keep every stride-th value."""
    for axis, step in ((2, stride[0]), (3, stride[1])):
        size = 1 if step == 1 else min(taps, 2 * x.shape[axis] - 1)
        edge = [(0, 0)] * 4
        edge[axis] = (size // 2, size // 2)
        padded = np.pad(x, edge, mode="reflect") if size > 1 else x
        views = np.lib.stride_tricks.sliding_window_view(padded, size, axis)
        x = (views * row(size)).sum(-1).take(range(0, x.shape[axis], step), axis)
    return x


def strongest_phases(x, stride):
    """For each image, where the values of largest energy begin."""
    energy = [
        (x[:, :, i :: stride[0], j :: stride[1]].astype(np.float64) ** 2).sum((1, 2, 3))
        for i in range(stride[0])
        for j in range(stride[1])
    ]
    return [divmod(int(k), stride[1]) for k in np.argmax(energy, axis=0)]


def phase(x, stride, chosen):
    """Keep one phase of each image; zeros where it ends early."""
    rows, columns = (-(-size // step) for size, step in zip(x.shape[2:], stride, strict=True))
    out = np.zeros((*x.shape[:2], rows, columns), x.dtype)
    for n, (i, j) in enumerate(chosen):
        part = x[n, :, i :: stride[0], j :: stride[1]]
        out[n, :, : part.shape[1], : part.shape[2]] = part
    return out


def cell_means(x, stride):
    """The mean of the stride × stride cells from each that the stride keeps."""
    rows, columns = (-(-size // step) for size, step in zip(x.shape[2:], stride, strict=True))
    out = np.empty((*x.shape[:2], rows, columns), x.dtype)
    for i in range(rows):
        for j in range(columns):
            cells = x[:, :, i * stride[0] : (i + 1) * stride[0], j * stride[1] : (j + 1) * stride[1]]
            out[:, :, i, j] = cells.mean((2, 3))
    return out


def condensed(x, kind, stride):
    """What stands in the place of a stride, behind a map without it."""
    if kind == "average":
        return cell_means(x, stride)
    if kind == "polyphase":
        return phase(x, stride, strongest_phases(x, stride))
    return blurred(x, int(kind[4:]), stride)
