// Filter, detect and condense in registers: a dense filter with stride 1 whose outputs are
// pooled 2x2 with stride 2 before they ever reach memory.
#pragma once

#include "conv_rows.h"
#include "pool_rows.h"

namespace attar::ATTAR_ISA {

// Rows of the convolution that are computed together, two for each pooled row.
inline constexpr int fused_rows = ATTAR_REGISTERS == 32 ? 4 : 2;

template <class Reduce, int KH, int KW, int R, class T>
ATTAR_INLINE void dense_pooled(const Tile<T>& tile, const T* row, int64_t channels,
                               const T* weights, T bias, bool rectify, int64_t count, T* to,
                               int64_t to_stride) {
    constexpr int64_t L = lanes<T>;
    dense_rows<KH, KW, R>(
        tile, row, channels, weights, bias, 2 * count, [&](int64_t x, Vec<T>(&sum)[R][2]) {
#pragma GCC unroll 4
            for (int r = 0; r < R; r += 2) {
                // A maximum may be rectified after it is taken, a mean may not.
                if (Reduce::divides && rectify)
                    for (int i = 0; i < 2; ++i) {
                        sum[r][i] = relu<T>(sum[r][i]);
                        sum[r + 1][i] = relu<T>(sum[r + 1][i]);
                    }
                const Vec<T> left = Reduce::combine(sum[r][0], sum[r + 1][0]);
                const Vec<T> right = Reduce::combine(sum[r][1], sum[r + 1][1]);
                Vec<T> value = combine_neighbours<Reduce, T>(left, right);
                if (Reduce::divides)
                    value /= broadcast(T{4});
                else if (rectify)
                    value = relu<T>(value);
                store_first(to + r / 2 * to_stride + x / 2, value, min(L, count - x / 2));
            }
        });
}

// `rows` rows of pooled outputs, `to_stride` apart. `row` is where the first row of the
// convolution begins. Reads the tile as if round_up(2 * count, 2 lanes) columns were computed.
template <class Reduce, int KH, int KW, class T>
void dense_pooled_rows(const Tile<T>& tile, const T* row, int64_t channels, const T* weights,
                       T bias, bool rectify, int64_t rows, int64_t count, T* to,
                       int64_t to_stride) {
    int64_t o = 0;
    for (; o + fused_rows / 2 <= rows; o += fused_rows / 2)
        dense_pooled<Reduce, KH, KW, fused_rows>(tile, row + 2 * o * tile.row_stride, channels,
                                                 weights, bias, rectify, count,
                                                 to + o * to_stride, to_stride);
    for (; o < rows; ++o)
        dense_pooled<Reduce, KH, KW, 2>(tile, row + 2 * o * tile.row_stride, channels, weights,
                                        bias, rectify, count, to + o * to_stride, to_stride);
}

}  // namespace attar::ATTAR_ISA
