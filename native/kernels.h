// The operations, as one table of functions per instruction set.
#pragma once

#include <cstddef>

#include "operands.h"

namespace attar {

using AnyInput = Images<const void>;
using AnyOutput = Images<void>;

// Bytes of memory that an operation needs: of each thread, and once for all of them.
struct Workspace {
    size_t per_thread, shared;
};

template <class T>
struct Operations {
    // filter -> detect -> condense in one pass; with PoolKind::none just filter -> detect.
    // The axes of `pool` run over the convolution's outputs.
    void (*extract)(const Images<const T>& in, const Images<T>& out, const Convolution<T>& conv,
                    const Pool& pool);

    // The same with filters that were packed once for a path, for answers with adjacent channels.
    // `packed_size` numbers; axes count only for their windows.
    int64_t (*packed_size)(ConvPath, const Convolution<T>& conv);
    void (*pack)(ConvPath, const Convolution<T>& conv, T* packed);
    // conv.filters and conv.bias are not read.
    void (*convolve)(ConvPath, const T* packed, const Images<const T>& in, const Images<T>& out,
                     const Convolution<T>& conv, const Pool& pool);
    // What `convolve` needs.
    Workspace (*workspace)(ConvPath, const Images<const T>& in, const Images<T>& out,
                           const Convolution<T>& conv, const Pool& pool);
    // The path that is fastest, as measured: see packed_conv.cpp.
    ConvPath (*fastest_path)(int64_t images, const Convolution<T>& conv, const Pool& pool);

    // Gradients of a convolution for its filters, as [ky][kx][c][k], and bias, which may be null, and
    // for its input. `grad` is that of the pooled map, and what flows into a window flows to its
    // winner: a cell, ky * window_x + kx, as an unsigned number of `winner_bytes` (1, 2 or 4), or
    // nowhere if the window has no such cell or the map does not reach there. With 0 bytes there is
    // no pool, and nothing flows to where `winners`, numbers T, are 0.
    void (*conv_filter_grad)(const Images<const T>& grad, const AnyInput& winners,
                             int winner_bytes, const Images<const T>& in,
                             const Convolution<T>& conv, const Pool& pool, T* filters, T* bias);
    void (*conv_input_grad)(const Images<const T>& grad, const AnyInput& winners, int winner_bytes,
                            const Convolution<T>& conv, const Pool& pool, const Images<T>& out);
};

struct Kernels {
    const char* isa;
    int vector_bytes;
    Operations<float> f32;
    Operations<double> f64;

    // out = in, numbers of 1, 2, 4 or 8 bytes in arrays of any strides.
    void (*copy)(int bytes, const AnyInput& in, const AnyOutput& out);
    // out = in / white, of `count` whole numbers of 1 or 2 bytes.
    void (*scale)(int bytes, const void* in, float* out, int64_t count, float white);
    // out = the weighted sum of the three numbers of each of `count` pixels / white.
    void (*luma)(const uint8_t* in, float* out, int64_t count, const int32_t (&weights)[3],
                 float white);

    // What follows takes numbers of any type, named by the first argument: all of them for a
    // maximum and for relu, floating-point ones for the rest.

    // out = max(in, 0) over `count` consecutive numbers; `in` may be `out`.
    void (*relu)(Number, const void* in, void* out, int64_t count);
    // out = grad where the feature is not <= 0, and 0 there. `grad` may be `out`.
    void (*relu_grad)(Number, const void* grad, const void* features, void* out, int64_t count);
    // out[n][z][y][x][c] = the maximum over the window; the mean, sum or norm. Every window sees a
    // value.
    void (*max_pool)(Number, const AnyInput& in, const AnyOutput& out, const Pool& pool);
    void (*sum_pool)(Number, const AnyInput& in, const AnyOutput& out, const Pool& pool);
    // The maximum, and which tap of the window it is: the first of the largest, (kz * window_y +
    // ky) * window_x + kx, as an unsigned number of `winner_bytes` (1, 2 or 4). NaN is largest.
    // Rectified, a maximum that is not positive is 0, and its winner has all bits set.
    void (*pool_winners)(Number, const AnyInput& in, const AnyOutput& out, const AnyOutput& winners,
                         int winner_bytes, const Pool& pool, bool rectified);
    // out[position of the winner] += grad, and 0 elsewhere.
    void (*max_pool_grad)(Number, const AnyInput& grad, const AnyInput& winners, int winner_bytes,
                          const AnyOutput& out, const Pool& pool);
    // out[position] = the sum of grad over the windows that see it; of the mean, grad / divisor.
    void (*sum_pool_grad)(Number, const AnyInput& grad, const AnyOutput& out, const Pool& pool);
    void (*blur)(Number, const AnyInput& in, const AnyOutput& out, const Blur& blur);
    // out = the gradient of a blur without a maximum, for the gradient `grad` of its answer.
    void (*blur_grad)(Number, const AnyInput& grad, const AnyOutput& out, const Blur& blur);
};

}  // namespace attar
