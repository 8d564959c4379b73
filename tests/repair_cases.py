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


def dense_cells(size, window, stride, pad, ceil_mode):
    """How many windows there are at every place, so that a stride keeps as many as it had."""
    after = max(pad[1], min(pad[1] + stride - 1, window - 1)) if ceil_mode else pad[1]
    return size + pad[0] + after - window + 1


def every_window(x, window, before, cells, reduce, wraps=False):
    """Reduce the window at each of so many places of (N, C, H, W); 0 where it sees nothing."""
    out = np.zeros((*x.shape[:2], *cells), x.dtype)
    for i, j in np.ndindex(*cells):
        seen = []
        for place, size, pad, extent in zip((i, j), window, before, x.shape[2:], strict=True):
            taps = range(place - pad, place - pad + size)
            seen.append(
                [t % extent for t in taps] if wraps else [t for t in taps if 0 <= t < extent]
            )
        if all(seen):
            out[:, :, i, j] = reduce(x[:, :, seen[0]][:, :, :, seen[1]])
    return out


def maxima(values):
    return values.max((2, 3))


def means(values):
    return values.mean((2, 3))


def repaired_pool(x, window, stride, pads, ceil_mode, kind, reduce=maxima, border="reflect"):
    """What a pool with a stride becomes; `pads` are top, left, bottom, right."""
    wraps = border == "circular"
    sides = [(pads[0], pads[2]), (pads[1], pads[3])]
    if kind == "average":
        out = [windows(*each, ceil_mode) for each in
               zip(x.shape[2:], window, stride, sides, strict=True)]  # fmt: skip
        every = [(n - 1) * step + 1 for n, step in zip(out, stride, strict=True)]
        return every_window(x, window, pads[:2], every, means)[:, :, :: stride[0], :: stride[1]]
    cells = [dense_cells(*each, ceil_mode) for each in
             zip(x.shape[2:], window, stride, sides, strict=True)]  # fmt: skip
    if kind != "polyphase":
        dense = every_window(x, window, pads[:2], cells, reduce, wraps)
        return condensed(dense, kind, stride, border)
    # As many as any phase may need; on a map that goes round, no window comes twice.
    every = [
        min(n + step - 1, max(n, size)) if wraps else n + step - 1
        for n, step, size in zip(cells, stride, x.shape[2:], strict=True)
    ]
    dense = every_window(x, window, pads[:2], every, reduce, wraps)
    out = [-(-n // step) for n, step in zip(cells, stride, strict=True)]
    return phase(dense, stride, strongest_phases(dense, stride, out), out)


def row(taps):
    return np.array([math.comb(taps - 1, k) for k in range(taps)]) / 2 ** (taps - 1)


def blurred(x, taps, stride, border="reflect"):
    """Filter (N, C, H, W), its border mirrored or wrapped, and keep every stride-th value."""
    for axis, step in ((2, stride[0]), (3, stride[1])):
        most = 2 * x.shape[axis] + (1 if border == "circular" else -1)
        size = 1 if step == 1 else min(taps, most)
        edge = [(0, 0)] * 4
        edge[axis] = (size // 2, size // 2)
        mode = "wrap" if border == "circular" else "reflect"
        padded = np.pad(x, edge, mode=mode) if size > 1 else x
        views = np.lib.stride_tricks.sliding_window_view(padded, size, axis)
        x = (views * row(size)).sum(-1).take(range(0, x.shape[axis], step), axis)
    return x


def strongest_phases(x, stride, out):
    """For each image, where the values of largest energy begin."""
    starts = list(np.ndindex(*stride))
    energy = [
        np.square(phase(x, stride, [start] * len(x), out).astype(np.float64)).sum((1, 2, 3))
        for start in starts
    ]
    return [starts[k] for k in np.argmax(energy, axis=0)]


def phase(x, stride, chosen, out):
    """Keep so many cells of one phase of each image; zeros where the map ends early."""
    kept = np.zeros((*x.shape[:2], *out), x.dtype)
    for n, (i, j) in enumerate(chosen):
        part = x[n, :, i :: stride[0], j :: stride[1]][:, : out[0], : out[1]]
        kept[n, :, : part.shape[1], : part.shape[2]] = part
    return kept


def cell_means(x, stride):
    """The mean of the stride × stride cells from each that the stride keeps."""
    rows, columns = (-(-size // step) for size, step in zip(x.shape[2:], stride, strict=True))
    out = np.empty((*x.shape[:2], rows, columns), x.dtype)
    for i, j in np.ndindex(rows, columns):
        cells = x[:, :, i * stride[0] : (i + 1) * stride[0], j * stride[1] : (j + 1) * stride[1]]
        out[:, :, i, j] = cells.mean((2, 3))
    return out


def condensed(x, kind, stride, border="reflect"):
    """What stands in the place of a stride, behind a map without it."""
    if kind == "average":
        return cell_means(x, stride)
    if kind == "polyphase":
        out = [-(-size // step) for size, step in zip(x.shape[2:], stride, strict=True)]
        return phase(x, stride, strongest_phases(x, stride, out), out)
    return blurred(x, int(kind[4:]), stride, border)


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pads_of(sizes, window, stride, padding):
    """Top, left, bottom, right of Keras' and TensorFlow's padding."""
    sides = []
    for size, one, step in zip(sizes, window, stride, strict=True):
        total = max(0, (-(-size // step) - 1) * step + one - size) if padding == "same" else 0
        sides.append((total // 2, total - total // 2))
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]


def dense_convolution(x, weights, pads, groups=1, dilation=1):
    """A convolution of (N, C, H, W) at every place, in PyTorch's float64."""
    import torch

    given = torch.from_numpy(np.asarray(x, np.float64))
    top, left, bottom, right = pads
    padded = torch.nn.functional.pad(given, (left, right, top, bottom))
    kernel = torch.from_numpy(np.asarray(weights, np.float64))
    answer = torch.nn.functional.conv2d(padded, kernel, groups=groups, dilation=dilation)
    return answer.numpy()
