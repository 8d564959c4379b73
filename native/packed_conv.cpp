// Convolutions with packed filters: which path, and the way there.
#include "conv_paths.h"
#include "operations.h"
#include "simd.h"

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
    if (in.n == 0) return;
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

// What a path costs, in multiply-adds of vectors: an estimate from measurements on a Zen 4, right to
// a fifth from 1 to 512 channels and from 1 x 1 to 224 x 224 outputs. With 16 registers half of a
// transform is loads and stores.
struct Cost {
    int64_t products;           // for each channel and vector of filters, of a pixel or a tile
    int64_t input, output;      // for each vector of channels, and of filters: what is not a product
};
constexpr int64_t spilling = ATTAR_REGISTERS == 32 ? 1 : 2;
constexpr Cost direct_cost{9, 0, 5};
constexpr Cost winograd2_cost{16, 120 * spilling, 80 * spilling};
constexpr Cost winograd4_cost{36, 350 * spilling, 240 * spilling};

// Filters that no cache holds are read from memory, which takes as long as `reading` products of
// each. Deep layers on small maps meet too few pixels or tiles to do anything else meanwhile.
constexpr int64_t cached_bytes = 4 << 20, reading = 8;

template <class T>
int64_t cost(const Cost& of, int64_t count, const Convolution<T>& conv) {
    constexpr int64_t L = lanes<T>;
    const int64_t channels = conv.channels_per_group;
    const int64_t filters = ceil_div(conv.filters_per_group(), L);
    const int64_t products = of.products * channels * filters;
    const bool cached = products <= cached_bytes / ATTAR_VECTOR_BYTES;
    const int64_t multiplied = cached || count > reading ? count : reading;
    return multiplied * products +
           count * (of.input * ceil_div(channels, L) + of.output * filters);
}

template <class T>
ConvPath fastest_path(int64_t images, const Convolution<T>& conv, const Pool& pool) {
    const auto dense = [](const Axis& axis) {
        return axis.window == 3 && axis.stride == 1 && axis.dilation == 1;
    };
    const auto tiles = [&](int64_t size) {
        return images * ceil_div(conv.y.out, size) * ceil_div(conv.x.out, size);
    };
    if (!dense(conv.y) || !dense(conv.x) ||
        (pool.kind != PoolKind::none && !pooled_in_tiles(pool)))
        return ConvPath::direct;
    const int64_t direct = cost(direct_cost, tiles(1), conv);
    const int64_t by_2 = cost(winograd2_cost, tiles(2), conv);
    const int64_t by_4 = cost(winograd4_cost, tiles(4), conv);
    if (by_4 < direct && by_4 <= by_2) return ConvPath::winograd4;
    return by_2 < direct ? ConvPath::winograd2 : ConvPath::direct;
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
