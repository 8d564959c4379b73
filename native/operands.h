// What the operations work on: strided images and sliding windows. Plain data for every
// instruction set; the few functions are always inlined, so that no compiled copy of them can
// end up in code for another one.
#pragma once

#include <cstdint>

#define ATTAR_INLINED __attribute__((always_inline))  // behind the parameters of a lambda
#define ATTAR_INLINE inline ATTAR_INLINED

namespace attar {

// The types of numbers. half and bfloat travel as their 16 bits.
enum class Number { f32, f64, f16, bf16, i8, i16, i32, i64, u8, u16, u32, u64 };

// A batch of images addressed as [n][z][y][x][c]; flat ones have a depth of 1. Strides are in
// elements and may be anything, also negative or zero, so channels-first, channels-last and sliced
// arrays all fit without a copy.
template <class T>
struct Images {
    T* data;
    int64_t n, depth, height, width, channels;
    int64_t n_stride, z_stride, y_stride, x_stride, c_stride;

    ATTAR_INLINE T* image(int64_t index) const { return data + index * n_stride; }

    // The same memory as numbers of another type.
    template <class U>
    ATTAR_INLINE Images<U> as() const {
        return {static_cast<U*>(data), n,        depth,    height,   width,   channels,
                n_stride,              z_stride, y_stride, x_stride, c_stride};
    }
};

// A window that slides along one axis: output o looks at the inputs
// o * stride - pad_before + k * dilation, for k in [0, window). A negative pad_before is an offset.
//
// Or, where `bounds` is given, windows of any place and size: output o looks at the inputs
// [bounds[2 * o], bounds[2 * o + 1]), which lie inside and grow from output to output at both
// ends. `window` is then the largest of them, stride and dilation are 1 and there is no padding.
struct Axis {
    int64_t in, window, stride, dilation, pad_before, pad_after, out;
    const int64_t* bounds = nullptr;

    ATTAR_INLINE int64_t first(int64_t o) const {
        return bounds ? bounds[2 * o] : o * stride - pad_before;
    }
    // Taps of window o, those on padding included.
    ATTAR_INLINE int64_t taps(int64_t o) const {
        return bounds ? bounds[2 * o + 1] - bounds[2 * o] : window;
    }
    // Inputs from the first to the last tap of one window.
    ATTAR_INLINE int64_t extent() const { return (window - 1) * dilation + 1; }
    // Inputs from the first tap of the first to the last tap of the last of `outputs` windows.
    ATTAR_INLINE int64_t span(int64_t outputs) const { return (outputs - 1) * stride + extent(); }

    // Taps of window o that fall in [begin, end).
    ATTAR_INLINE int64_t taps_within(int64_t o, int64_t begin, int64_t end) const {
        if (bounds) return taps(o);
        const int64_t at = first(o);
        const int64_t low = at >= begin ? 0 : (begin - at + dilation - 1) / dilation;
        const int64_t high = at >= end ? 0 : (end - at + dilation - 1) / dilation;
        const int64_t last = high < window ? high : window;
        return last > low ? last - low : 0;
    }
};

// norm: the p-norm of the window, (sum of |x|^p)^(1/p).
enum class PoolKind { none, max, average, sum, norm };

struct Pool {
    Axis z, y, x;
    PoolKind kind;
    bool count_include_pad;
    double p;  // of a norm

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

// How a convolution of many channels is computed: product by product, or through Winograd's
// transforms of tiles of 2 x 2 or 4 x 4 outputs.
enum class ConvPath { direct, winograd2, winograd4 };

// Whether a pool is 2 x 2 with stride 2 from the first cell on: Winograd's tiles hold such windows
// whole.
ATTAR_INLINE bool halves(const Axis& axis) {
    return axis.window == 2 && axis.stride == 2 && axis.dilation == 1 && axis.pad_before == 0 &&
           !axis.bounds;
}
ATTAR_INLINE bool pooled_in_tiles(const Pool& pool) { return halves(pool.y) && halves(pool.x); }

// Anti-aliased condensing: the maximum of dense windows (of 1 x 1: none), then a separable filter
// of `taps` weights along each axis, at the outputs of `y` and `x` only. The axes of the filter run
// over the maxima, and beyond the border of those lies what `border` says.
enum class Border { zero, reflect, circular };

struct Blur {
    Axis max_y, max_x;  // stride 1
    Axis y, x;          // of the filter
    const double* weights_y;
    const double* weights_x;
    Border border;
};

}  // namespace attar
