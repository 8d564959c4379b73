// The operations, as one table of functions per instruction set.
#pragma once

#include "operands.h"

namespace attar {

template <class T>
struct Operations {
    // out = max(in, 0) over `count` consecutive numbers; `in` may be `out`.
    void (*relu)(const T* in, T* out, int64_t count);
    // out[n][y][x][c] = maximum or mean over the window. Every window sees a value of the image.
    void (*pool)(const Images<const T>& in, const Images<T>& out, const Pool& pool);
    // filter -> detect -> condense in one pass; with PoolKind::none just filter -> detect.
    // The axes of `pool` run over the convolution's outputs.
    void (*extract)(const Images<const T>& in, const Images<T>& out, const Convolution<T>& conv,
                    const Pool& pool);
};

struct Kernels {
    const char* isa;
    int vector_bytes;
    Operations<float> f32;
    Operations<double> f64;
};

}  // namespace attar
