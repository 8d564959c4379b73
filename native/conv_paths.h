// The ways to compute a convolution whose filters were packed. packed_conv.cpp chooses.
#pragma once

#include "kernels.h"

namespace attar::ATTAR_ISA {

template <class T>
int64_t direct_size(const Convolution<T>& conv);
template <class T>
void pack_direct(const Convolution<T>& conv, T* packed);
template <class T>
void direct_conv(const T* packed, const Images<const T>& in, const Images<T>& out,
                 const Convolution<T>& conv, const Pool& pool);
template <class T>
Workspace direct_workspace(const Images<const T>& in, const Images<T>& out,
                           const Convolution<T>& conv, const Pool& pool);

// Of 3 x 3 filters with stride 1, in tiles of M x M outputs: 2 or 4. A pool is none, or 2 x 2 with
// stride 2 from the first cell on. The channels of the input are adjacent.
template <int M, class T>
int64_t winograd_size(const Convolution<T>& conv);
template <int M, class T>
void pack_winograd(const Convolution<T>& conv, T* packed);
template <int M, class T>
void winograd_conv(const T* packed, const Images<const T>& in, const Images<T>& out,
                   const Convolution<T>& conv, const Pool& pool);
template <int M, class T>
Workspace winograd_workspace(const Images<const T>& in, const Images<T>& out,
                             const Convolution<T>& conv, const Pool& pool);

}  // namespace attar::ATTAR_ISA
