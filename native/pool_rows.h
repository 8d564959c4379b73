// Rows of a pool: what pool_op.h applies to an image and extract.cpp to the rows of a
// convolution that are still in the cache.
//
// Cells outside the map hold the reduction's neutral element (-inf, or 0 for a sum), so a window
// at the border is like any other. An average divides by the number of cells that count.
#pragma once

#include "operands.h"
#include "reduce.h"

namespace attar::ATTAR_ISA {

// ---------------------------------------------------------------------------- planar

// Rows of one channel -> one row of outputs. First the rows are reduced into `reduced`, then
// every output reduces its columns; so a window costs its height plus its width.
// rows[i] holds at least axis.span(count) + 3 lanes readable values, as does `reduced`.
template <class Reduce, class T>
void pool_planar_row(const T* const* rows, int64_t row_count, const Axis& axis, int64_t count,
                     const T* divisors, T rows_divisor, T* reduced, T* to, int64_t to_stride,
                     T* staging) {
    constexpr int64_t L = lanes<T>;
    const T* line = rows[0];
    if (row_count > 1) {
        const int64_t width = axis.span(count);
        for (int64_t x = 0; x < width; x += L) {
            const Vec<T> value =
                reduce_window<Reduce>([&](int64_t i) { return load(rows[i] + x); }, row_count);
            store(reduced + x, value);
        }
        line = reduced;
    }
    T* const target = to_stride == 1 ? to : staging;
    const auto finish = [&](Vec<T> value, int64_t x) {
        if constexpr (Reduce::divides) value /= load(divisors + x) * rows_divisor;
        store_first(target + x, value, min(L, count - x));
    };
    if (axis.stride == 1) {
        for (int64_t x = 0; x < count; x += L) {
            const auto tap = [&](int64_t k) { return load(line + x + k * axis.dilation); };
            finish(reduce_window<Reduce>(tap, axis.window), x);
        }
    } else if (axis.stride == 2) {
        for (int64_t x = 0; x < count; x += L) {
            const auto tap = [&](int64_t k) {
                const T* from = line + 2 * x + k * axis.dilation;
                return even_lanes<T>(load(from), load(from + L));
            };
            finish(reduce_window<Reduce>(tap, axis.window), x);
        }
    } else {
        for (int64_t x = 0; x < count; ++x) {
            const auto tap = [&](int64_t k) { return line[x * axis.stride + k * axis.dilation]; };
            T value = reduce_window<Reduce>(tap, axis.window);
            if constexpr (Reduce::divides) value /= divisors[x] * rows_divisor;
            target[x] = value;
        }
    }
    if (to_stride != 1)
        for (int64_t x = 0; x < count; ++x) to[x * to_stride] = staging[x];
}

// ------------------------------------------------------------------------ interleaved

// Rows of pixels -> one row of output pixels. `pixel_stride` leads from pixel to pixel of
// `rows`; `channels` of each are reduced. Reads whole vectors: up to a vector behind `channels`.
template <class Reduce, class T>
void pool_interleaved_row(const T* const* rows, int64_t row_count, int64_t pixel_stride,
                          const Axis& axis, int64_t count, int64_t channels, const T* divisors,
                          T rows_divisor, T* to, int64_t to_stride) {
    constexpr int64_t L = lanes<T>;
    for (int64_t o = 0; o < count; ++o) {
        const int64_t start = o * axis.stride * pixel_stride;
        for (int64_t c = 0; c < channels; c += L) {
            const int64_t valid = min(L, channels - c);
            // Column by column, as the planar kernel does it: a mean has the same last bit.
            const auto column = [&](int64_t k) {
                const int64_t at = start + k * axis.dilation * pixel_stride + c;
                return reduce_window<Reduce>([&](int64_t i) { return load(rows[i] + at); },
                                             row_count);
            };
            Vec<T> value = reduce_window<Reduce>(column, axis.window);
            if constexpr (Reduce::divides) value /= broadcast<T>(divisors[o] * rows_divisor);
            store_first(to + o * to_stride + c, value, valid);
        }
    }
}

// Divisors along one axis for outputs [begin, begin + count), padded to whole vectors with 1.
template <class T>
void fill_divisors(const Pool& pool, const Axis& axis, int64_t begin, int64_t count, T* to) {
    for (int64_t i = 0; i < count; ++i)
        to[i] = static_cast<T>(pool.divisor(axis, begin + i));
    for (int64_t i = count; i < round_up(count, lanes<T>); ++i) to[i] = 1;
}

}  // namespace attar::ATTAR_ISA
