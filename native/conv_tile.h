// The register tile of a convolution with many filters: some pixels x one or two vectors of filters,
// summed over all taps without leaving the registers.
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

// Outputs of a tile that is pooled 2 x 2: each takes 4 pixels.
inline constexpr int tile_outputs = tile_pixels / 4;

// What a tile needs to know. `to` gets one pixel of a panel's filters every `to_step` numbers.
template <class T>
struct TileJob {
    const T* pixels;         // the first pixel's first tap
    int64_t step, row_step;  // to the next pixel, and to the pixel below
    const int64_t* offsets;  // from there to each run of numbers
    int64_t runs, length;
    const T *weights, *bias;  // of one panel; a null bias is 0
    T* to;
    int64_t to_step;
    int64_t filters;  // to be written
    bool relu;
};

template <int rows, int columns, int V, class T>
ATTAR_INLINE void sum_tile(const TileJob<T>& job, Vec<T> (&sum)[rows][columns][V]) {
    constexpr int64_t L = lanes<T>;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
        const Vec<T> start = job.bias ? load(job.bias + v * L) : Vec<T>{};
#pragma GCC unroll 2
        for (int y = 0; y < rows; ++y)
#pragma GCC unroll 16
            for (int x = 0; x < columns; ++x) sum[y][x][v] = start;
    }
    const T* weights = job.weights;
    const int64_t step = job.step, row_step = job.row_step;
    for (int64_t run = 0; run < job.runs; ++run) {
        const T* numbers = job.pixels + job.offsets[run];
        for (int64_t i = 0; i < job.length; ++i, ++numbers, weights += V * L) {
            Vec<T> weight[V];
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) weight[v] = pinned<T>(load(weights + v * L));
#pragma GCC unroll 2
            for (int y = 0; y < rows; ++y)
#pragma GCC unroll 16
                for (int x = 0; x < columns; ++x) {
                    const Vec<T> value = broadcast(numbers[y * row_step + x * step]);
#pragma GCC unroll 2
                    for (int v = 0; v < V; ++v) sum[y][x][v] += value * weight[v];
                }
        }
    }
}

// Vector v of the panel at pixel x of the answer.
template <class T>
ATTAR_INLINE void write(const TileJob<T>& job, int x, int v, Vec<T> value) {
    constexpr int64_t L = lanes<T>;
    T* to = job.to + x * job.to_step + v * L;
    if (job.filters >= (v + 1) * L)
        store(to, value);
    else
        store_first(to, value, job.filters - v * L);
}

template <int columns, int V, class T>
void run_tile(const TileJob<T>& job) {
    Vec<T> sum[1][columns][V];
    sum_tile(job, sum);
#pragma GCC unroll 16
    for (int x = 0; x < columns; ++x)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
            write(job, x, v, job.relu ? relu<T>(sum[0][x][v]) : sum[0][x][v]);
}

// Two rows of pixels, pooled 2 x 2 with stride 2.
template <class Reduce, int outputs, int V, class T>
void run_pooled_tile(const TileJob<T>& job) {
    Vec<T> sum[2][2 * outputs][V];
    sum_tile(job, sum);
#pragma GCC unroll 4
    for (int x = 0; x < outputs; ++x)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
            // A maximum may be rectified after it is taken, a mean may not.
            const bool before = Reduce::divides && job.relu, after = !Reduce::divides && job.relu;
            const auto cell = [&](int y, int i) {
                return before ? relu<T>(sum[y][2 * x + i][v]) : sum[y][2 * x + i][v];
            };
            const auto column = [&](int i) { return Reduce::combine(cell(0, i), cell(1, i)); };
            Vec<T> value = Reduce::combine(column(0), column(1));
            if (Reduce::divides) value /= broadcast(T{4});
            write(job, x, v, after ? relu<T>(value) : value);
        }
}

template <class T>
using TileKernel = void (*)(const TileJob<T>&);

template <class T, int... x>
constexpr TileKernel<T> tiles[2][sizeof...(x)] = {{run_tile<x + 1, 1, T>...},
                                                  {run_tile<x + 1, 2, T>...}};
template <class Reduce, class T, int... x>
constexpr TileKernel<T> pooled_tiles[2][sizeof...(x)] = {{run_pooled_tile<Reduce, x + 1, 1, T>...},
                                                         {run_pooled_tile<Reduce, x + 1, 2, T>...}};

// `count` pixels of the answer in as few tiles as hold them, all about as large; `step` numbers
// from one's taps to the next one's. kernels[i] computes i + 1.
template <int largest, class T>
void run_kernels(const TileKernel<T> (&kernels)[largest], TileJob<T> job, int64_t count,
                 int64_t step) {
    const int64_t tiles = ceil_div(count, largest);
    for (int64_t i = 0, done = 0; i < tiles; ++i) {
        const int64_t size = count * (i + 1) / tiles - done;
        kernels[size - 1](job);
        job.pixels += size * step;
        job.to += size * job.to_step;
        done += size;
    }
}

// `count` pixels of a row, with 1 or 2 vectors of filters.
template <class T>
void run_tiles(const TileJob<T>& job, int64_t count, int64_t vectors) {
    [&]<int... x>(std::integer_sequence<int, x...>) {
        run_kernels(tiles<T, x...>[vectors - 1], job, count, job.step);
    }(std::make_integer_sequence<int, tile_pixels>());
}

// `count` outputs of a 2 x 2 pool behind two rows.
template <class Reduce, class T>
void run_pooled_tiles(const TileJob<T>& job, int64_t count, int64_t vectors) {
    [&]<int... x>(std::integer_sequence<int, x...>) {
        run_kernels(pooled_tiles<Reduce, T, x...>[vectors - 1], job, count, 2 * job.step);
    }(std::make_integer_sequence<int, tile_outputs>());
}

}  // namespace attar::ATTAR_ISA
