// Filter, detect and condense in registers: a dense filter with stride 1 whose outputs are
// pooled 2x2 with stride 2 before they ever reach memory.
#pragma once

#include "conv_rows.h"
#include "pool_rows.h"

namespace attar::ATTAR_ISA {

// One row of pooled outputs. `row` is where the upper row of the convolution begins.
// Reads the tile as if round_up(2 * count, 2 lanes) columns were computed.
template <class Reduce, int KH, int KW, class T>
void dense_pooled_row(const Tile<T>& tile, const T* row, int64_t channels, const T* weights,
                      T bias, bool rectify, int64_t count, T* to) {
    constexpr int64_t L = lanes<T>;
    dense_rows<KH, KW, 2>(
        tile, row, channels, weights, bias, 2 * count, [&](int64_t x, Vec<T>(&sum)[2][2]) {
            // A maximum may be rectified after it is taken, a mean may not.
            if (Reduce::divides && rectify)
                for (auto& line : sum)
                    for (auto& value : line) value = relu<T>(value);
            const Vec<T> left = Reduce::combine(sum[0][0], sum[1][0]);
            const Vec<T> right = Reduce::combine(sum[0][1], sum[1][1]);
            Vec<T> value = Reduce::combine(even_lanes<T>(left, right), odd_lanes<T>(left, right));
            if (Reduce::divides)
                value /= broadcast(T{4});
            else if (rectify)
                value = relu<T>(value);
            store_first(to + x / 2, value, min(L, count - x / 2));
        });
}

}  // namespace attar::ATTAR_ISA
