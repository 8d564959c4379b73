// What the operations work on: strided images and sliding windows. Plain data for every
// instruction set; the few functions are always inlined, so that no compiled copy of them can
// end up in code for another one.
#pragma once

#include <cstdint>

#define ATTAR_INLINE inline __attribute__((always_inline))

namespace attar {

// A batch of images addressed as [n][y][x][c]. Strides are in elements and may be anything, also
// negative or zero, so channels-first, channels-last and sliced arrays all fit without a copy.
template <class T>
struct Images {
    T* data;
    int64_t n, height, width, channels;
    int64_t n_stride, y_stride, x_stride, c_stride;

    ATTAR_INLINE T* image(int64_t index) const { return data + index * n_stride; }
};

// A window that slides along one axis: output o looks at the inputs
// o * stride - pad_before + k * dilation, for k in [0, window). A negative pad_before is an offset.
struct Axis {
    int64_t in, window, stride, dilation, pad_before, pad_after, out;

    ATTAR_INLINE int64_t first(int64_t o) const { return o * stride - pad_before; }
    // Inputs from the first to the last tap of one window.
    ATTAR_INLINE int64_t extent() const { return (window - 1) * dilation + 1; }
    // Inputs from the first tap of the first to the last tap of the last of `outputs` windows.
    ATTAR_INLINE int64_t span(int64_t outputs) const { return (outputs - 1) * stride + extent(); }

    // Taps of window o that fall in [begin, end).
    ATTAR_INLINE int64_t taps_within(int64_t o, int64_t begin, int64_t end) const {
        const int64_t at = first(o);
        const int64_t low = at >= begin ? 0 : (begin - at + dilation - 1) / dilation;
        const int64_t high = at >= end ? 0 : (end - at + dilation - 1) / dilation;
        const int64_t last = high < window ? high : window;
        return last > low ? last - low : 0;
    }
};

enum class PoolKind { none, max, average };

struct Pool {
    Axis y, x;
    PoolKind kind;
    bool count_include_pad;

    // How many values the average of window o is divided by, along one axis.
    ATTAR_INLINE int64_t divisor(const Axis& axis, int64_t o) const {
        return count_include_pad ? axis.taps_within(o, -axis.pad_before, axis.in + axis.pad_after)
                                 : axis.taps_within(o, 0, axis.in);
    }
};

// Filters as [ky][kx][c][k], dense; `bias` is one value per filter or null.
template <class T>
struct Convolution {
    Axis y, x;
    const T* filters;
    const T* bias;
    int64_t channels_per_group, filter_count, groups;
    bool relu;

    ATTAR_INLINE int64_t filters_per_group() const { return filter_count / groups; }
    ATTAR_INLINE int64_t taps() const { return y.window * x.window * channels_per_group; }
};

}  // namespace attar
