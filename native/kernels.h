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
    // `packed_size` numbers, all 0 before they are packed; axes count only for their windows.
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
};

struct Kernels {
    const char* isa;
    int vector_bytes;
    Operations<float> f32;
    Operations<double> f64;

    // What follows takes numbers of any type, named by the first argument: all of them for a
    // maximum and for relu, floating-point ones for the rest.

    // out = max(in, 0) over `count` consecutive numbers; `in` may be `out`.
    void (*relu)(Number, const void* in, void* out, int64_t count);
    // out[n][z][y][x][c] = maximum, mean, sum or norm over the window. Every window sees a value.
    void (*pool)(Number, const AnyInput& in, const AnyOutput& out, const Pool& pool);
    // The maximum, and which tap of the window it is: the first of the largest, (kz * window_y +
    // ky) * window_x + kx, as an unsigned number of `winner_bytes` (1, 2 or 4). NaN is largest.
    void (*pool_winners)(Number, const AnyInput& in, const AnyOutput& out, const AnyOutput& winners,
                         int winner_bytes, const Pool& pool);
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
