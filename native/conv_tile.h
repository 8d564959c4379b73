// The register tile of a convolution with many filters: some pixels of a row x one or two vectors
// of filters, summed over all taps without leaving the registers.
//
// A tap is a number of the input and a vector of weights. The number is broadcast straight from
// memory, so the input needs no layout but channels side by side: runs of `length` numbers (the
// channels of a pixel, or of all pixels under one row of the window), the same for every pixel.
// Weights are read once per tile, in the order in which they lie. With 14 pixels that is less
// than 5 bytes per cycle, which even the outer caches deliver.
#pragma once

#include <utility>

#include "operands.h"
#include "simd.h"

namespace attar::ATTAR_ISA {

// Pixels of a tile: with two sums each, a value and two vectors of weights they fill the registers.
inline constexpr int tile_pixels = ATTAR_REGISTERS == 32 ? 14 : ATTAR_VECTOR_BYTES == 32 ? 6 : 5;

// What a tile needs to know. `to` gets one pixel of a panel's filters every `to_step` numbers.
template <class T>
struct TileJob {
    const T* pixels;         // the first pixel's first tap
    int64_t step;            // to the next pixel
    const int64_t* offsets;  // from there to each run of numbers
    int64_t runs, length;
    const T *weights, *bias;  // of one panel; a null bias is 0
    T* to;
    int64_t to_step;
    int64_t filters;  // to be written
    bool relu;
};

template <int R, int V, class T>
ATTAR_INLINE void sum_tile(const TileJob<T>& job, Vec<T> (&sum)[R][V]) {
    constexpr int64_t L = lanes<T>;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
        const Vec<T> start = job.bias ? load(job.bias + v * L) : Vec<T>{};
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sum[r][v] = start;
    }
    const T* weights = job.weights;
    const int64_t step = job.step;
    for (int64_t run = 0; run < job.runs; ++run) {
        const T* numbers = job.pixels + job.offsets[run];
        for (int64_t i = 0; i < job.length; ++i, ++numbers, weights += V * L) {
            Vec<T> weight[V];
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) weight[v] = pinned<T>(load(weights + v * L));
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                const Vec<T> value = broadcast(numbers[r * step]);
#pragma GCC unroll 2
                for (int v = 0; v < V; ++v) sum[r][v] += value * weight[v];
            }
        }
    }
}

template <int R, int V, class T>
void run_tile(const TileJob<T>& job) {
    constexpr int64_t L = lanes<T>;
    Vec<T> sum[R][V];
    sum_tile<R, V>(job, sum);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
            const Vec<T> value = job.relu ? relu<T>(sum[r][v]) : sum[r][v];
            T* to = job.to + r * job.to_step + v * L;
            if (job.filters >= (v + 1) * L)
                store(to, value);
            else if (job.filters > v * L)
                store_first(to, value, job.filters - v * L);
        }
}

template <class T, int... r>
struct TileKernels {
    using Kernel = void (*)(const TileJob<T>&);
    static constexpr Kernel of[2][sizeof...(r)] = {{run_tile<r + 1, 1, T>...},
                                                   {run_tile<r + 1, 2, T>...}};
};

// `count` pixels with 1 or 2 vectors of filters, in as few tiles as hold them, all about as large.
template <class T>
void run_tiles(TileJob<T> job, int64_t count, int64_t vectors) {
    static constexpr auto& kernels = []<int... r>(std::integer_sequence<int, r...>) -> auto& {
        return TileKernels<T, r...>::of;
    }(std::make_integer_sequence<int, tile_pixels>());
    const int64_t tiles = (count + tile_pixels - 1) / tile_pixels;
    for (int64_t i = 0, done = 0; i < tiles; ++i) {
        const int64_t pixels = count * (i + 1) / tiles - done;
        kernels[vectors - 1][pixels - 1](job);
        job.pixels += pixels * job.step;
        job.to += pixels * job.to_step;
        done += pixels;
    }
}

}  // namespace attar::ATTAR_ISA
