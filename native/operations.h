// The operations of one instruction set, as table.cpp collects them.
#pragma once

#include "kernels.h"

namespace attar::ATTAR_ISA {

template <class T>
void relu(const T* in, T* out, int64_t count);
template <class T>
void pool(const Images<const T>& in, const Images<T>& out, const Pool& pool);
template <class T>
void extract(const Images<const T>& in, const Images<T>& out, const Convolution<T>& conv,
             const Pool& pool);

// Whether `channels` side by side fill a vector: then the lanes hold channels, else pixels.
template <class T>
bool lanes_hold_channels(const Images<T>& out, int64_t channels, int64_t vector_lanes) {
    return out.c_stride == 1 && channels >= vector_lanes;
}

}  // namespace attar::ATTAR_ISA
