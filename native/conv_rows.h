// Rows of a convolution of few filters: the innermost loops.
//
// The lanes of a vector hold neighbouring pixels of one channel. An output is
//     bias + sum over taps, in the order channel, row, column,
// one fused multiply-add after the other where the processor has it, so a value does not depend
// on where it stands in a row, on the tile, on fusion, or on the number of threads.
#pragma once

#include "operands.h"
#include "simd.h"
#include "tile.h"

namespace attar::ATTAR_ISA {

// Filters that a planar row kernel computes together, sharing the pixels it has loaded.
inline constexpr int64_t planar_block = 4;

// One row of F filters over a list of taps: any window, stride (by phases), dilation and number
// of channels. Writes round_up(count, 2 lanes) values per filter.
// `weights` is [tap][F]; offsets[tap] leads from the row's first pixel to the tap.
template <int F, class T>
void planar_row(const T* row, const int64_t* offsets, int64_t taps, const T* weights,
                const T* bias, bool rectify, int64_t count, T* to, int64_t filter_stride) {
    constexpr int64_t L = lanes<T>;
    for (int64_t x = 0; x < count; x += 2 * L) {
        Vec<T> sum[F][2];
        for (int f = 0; f < F; ++f) sum[f][0] = sum[f][1] = broadcast(bias[f]);
        for (int64_t t = 0; t < taps; ++t) {
            const T* from = row + offsets[t] + x;
            const Vec<T> a = load(from), b = load(from + L);
            for (int f = 0; f < F; ++f) {
                const Vec<T> w = broadcast(weights[t * F + f]);
                sum[f][0] += a * w;
                sum[f][1] += b * w;
            }
        }
        for (int f = 0; f < F; ++f) {
            store(to + f * filter_stride + x, rectify ? relu<T>(sum[f][0]) : sum[f][0]);
            store(to + f * filter_stride + x + L, rectify ? relu<T>(sum[f][1]) : sum[f][1]);
        }
    }
}

// R output rows by 2 vectors of one channel of a dense KH x KW filter with stride 1. Every row of
// pixels is loaded once and serves all output rows that it touches. `weight(tap)` is a vector,
// `read(pixels, column)` loads one, `column` counted from `from`.
template <int KH, int KW, int R, class T, class Weight, class Read>
ATTAR_INLINE void add_dense_block(const T* from, int64_t row_stride, const Weight& weight,
                                  const Read& read, Vec<T> (&sum)[R][2]) {
#pragma GCC unroll 16
    for (int y = 0; y < KH + R - 1; ++y) {
#pragma GCC unroll 16
        for (int kx = 0; kx < KW; ++kx) {
            const T* pixels = from + y * row_stride + kx;
            const Vec<T> a = pinned<T>(read(pixels, kx));
            const Vec<T> b = pinned<T>(read(pixels + lanes<T>, kx + lanes<T>));
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                if (y - r < 0 || y - r >= KH) continue;
                const Vec<T> w = weight((y - r) * KW + kx);
                sum[r][0] += a * w;
                sum[r][1] += b * w;
            }
        }
    }
}

// Calls emit(x, sum) for R output rows, 2 vectors at a time, until `count` columns are done.
// Columns outside of tile.columns are zeros that need not be there.
template <int KH, int KW, int R, class T, class Emit>
ATTAR_INLINE void dense_rows(const Tile<T>& tile, const T* row, int64_t channels, const T* weights,
                             T bias, int64_t count, const Emit& emit) {
    constexpr int64_t L = lanes<T>;
    // Adds one channel to `sum`, which holds the outputs from column x on.
    const auto add = [&](const T* from, int64_t x, const auto& weight, Vec<T>(&sum)[R][2]) {
        const bool inside =
            x >= tile.columns.begin && x + 2 * L + KW - 1 <= tile.columns.end;
        if (!has_masked_loads || inside) {
            const auto read = [](const T* pixels, int64_t) { return load(pixels); };
            add_dense_block<KH, KW, R>(from + x, tile.row_stride, weight, read, sum);
        } else if constexpr (has_masked_loads) {
            const int64_t begin = tile.columns.begin - x, end = tile.columns.end - x;
            const auto read = [=](const T* pixels, int64_t column) {
                return load_between(pixels, begin - column, end - column);
            };
            add_dense_block<KH, KW, R>(from + x, tile.row_stride, weight, read, sum);
        }
    };
    Vec<T> sum[R][2];
    const auto start = [&] {
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = broadcast(bias);
    };
    if (channels == 1) {  // the weights stay as vectors, in registers where there are enough
        constexpr bool in_registers = KH * KW + 2 * R + 2 < ATTAR_REGISTERS;
        Vec<T> weight[KH * KW];
#pragma GCC unroll 32
        for (int tap = 0; tap < KH * KW; ++tap) {
            weight[tap] = broadcast(weights[tap]);
            if (in_registers) weight[tap] = pinned<T>(weight[tap]);
        }
        for (int64_t x = 0; x < count; x += 2 * L) {
            start();
            add(row, x, [&](int tap) { return weight[tap]; }, sum);
            emit(x, sum);
        }
        return;
    }
    for (int64_t x = 0; x < count; x += 2 * L) {
        start();
        for (int64_t c = 0; c < channels; ++c) {
            const T* weight = weights + c * KH * KW;
            add(
                row + c * tile.plane_stride, x, [=](int tap) { return broadcast(weight[tap]); },
                sum);
        }
        emit(x, sum);
    }
}

// R rows of one dense filter with stride 1, into to[0] ... to[R - 1]. Writes
// round_up(count, 2 lanes) values of each.
template <int KH, int KW, int R, class T>
ATTAR_INLINE void dense_rows_to(const Tile<T>& tile, const T* row, int64_t channels,
                                const T* weights, T bias, bool rectify, int64_t count,
                                T* const* to) {
    dense_rows<KH, KW, R>(tile, row, channels, weights, bias, count,
                          [&](int64_t x, const Vec<T>(&sum)[R][2]) {
#pragma GCC unroll 4
                              for (int r = 0; r < R; ++r)
                                  for (int i = 0; i < 2; ++i)
                                      store(to[r] + x + i * lanes<T>,
                                            rectify ? relu<T>(sum[r][i]) : sum[r][i]);
                          });
}

// One row, or two that share the pixels they load.
template <int KH, int KW, class T>
void dense_row_or_two(const Tile<T>& tile, const T* row, int64_t channels, const T* weights,
                      T bias, bool rectify, int64_t rows, int64_t count, T* const* to) {
    if (rows == 2)
        dense_rows_to<KH, KW, 2>(tile, row, channels, weights, bias, rectify, count, to);
    else
        dense_rows_to<KH, KW, 1>(tile, row, channels, weights, bias, rectify, count, to);
}

}  // namespace attar::ATTAR_ISA
