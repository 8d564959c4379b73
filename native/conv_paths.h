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

}  // namespace attar::ATTAR_ISA
