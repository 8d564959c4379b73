// Convolutions with packed filters: which path, and the way there.
#include "conv_paths.h"
#include "operations.h"

namespace attar::ATTAR_ISA {

template <class T>
int64_t packed_size(ConvPath path, const Convolution<T>& conv) {
    switch (path) {
        case ConvPath::winograd2: return winograd_size<2>(conv);
        case ConvPath::winograd4: return winograd_size<4>(conv);
        default: return direct_size(conv);
    }
}

template <class T>
void pack(ConvPath path, const Convolution<T>& conv, T* packed) {
    switch (path) {
        case ConvPath::winograd2: return pack_winograd<2>(conv, packed);
        case ConvPath::winograd4: return pack_winograd<4>(conv, packed);
        default: return pack_direct(conv, packed);
    }
}

template <class T>
void convolve(ConvPath path, const T* packed, const Images<const T>& in, const Images<T>& out,
              const Convolution<T>& conv, const Pool& pool) {
    switch (path) {
        case ConvPath::winograd2: return winograd_conv<2>(packed, in, out, conv, pool);
        case ConvPath::winograd4: return winograd_conv<4>(packed, in, out, conv, pool);
        default: return direct_conv(packed, in, out, conv, pool);
    }
}

template <class T>
Workspace workspace(ConvPath path, const Images<const T>& in, const Images<T>& out,
                    const Convolution<T>& conv, const Pool& pool) {
    switch (path) {
        case ConvPath::winograd2: return winograd_workspace<2>(in, out, conv, pool);
        case ConvPath::winograd4: return winograd_workspace<4>(in, out, conv, pool);
        default: return direct_workspace(in, out, conv, pool);
    }
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
