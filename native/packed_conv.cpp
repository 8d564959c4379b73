// Convolutions with packed filters: which path, and the way there.
#include "conv_paths.h"
#include "operations.h"

namespace attar::ATTAR_ISA {

template <class T>
int64_t packed_size(ConvPath, const Convolution<T>& conv) {
    return direct_size(conv);
}

template <class T>
void pack(ConvPath, const Convolution<T>& conv, T* packed) {
    pack_direct(conv, packed);
}

template <class T>
void convolve(ConvPath, const T* packed, const Images<const T>& in, const Images<T>& out,
              const Convolution<T>& conv, const Pool& pool) {
    direct_conv(packed, in, out, conv, pool);
}

template <class T>
Workspace workspace(ConvPath, const Images<const T>& in, const Images<T>& out,
                    const Convolution<T>& conv, const Pool& pool) {
    return direct_workspace(in, out, conv, pool);
}

template <class T>
ConvPath fastest_path(int64_t, const Convolution<T>&, const Pool&) {
    return ConvPath::direct;
}

#define ATTAR_INSTANTIATE(T)                                                                      \
    template int64_t packed_size(ConvPath, const Convolution<T>&);                                \
    template void pack(ConvPath, const Convolution<T>&, T*);                                      \
    template void convolve(ConvPath, const T*, const Images<const T>&, const Images<T>&,          \
                           const Convolution<T>&, const Pool&);                                   \
    template Workspace workspace(ConvPath, const Images<const T>&, const Images<T>&,              \
                                 const Convolution<T>&, const Pool&);                             \
    template ConvPath fastest_path(int64_t, const Convolution<T>&, const Pool&);
ATTAR_INSTANTIATE(float)
ATTAR_INSTANTIATE(double)

}  // namespace attar::ATTAR_ISA
