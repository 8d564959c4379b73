// Rows of a blur: numbers side by side, several rows into one.
//
// A row holds `channels` numbers for each pixel; with one channel its lanes hold pixels. Rows
// lie one below the other, or are one row read at several offsets: so the same functions reduce
// down a column and along a row.
//
// A weighted sum starts at 0 and adds one product after the other, so that the compiler has only
// one way to fuse them and every path has the same last bit.
#pragma once

#include "numbers.h"

namespace attar::ATTAR_ISA {

// Windows of up to this many taps have functions of their own.
constexpr int64_t most_unrolled = 5;

// Calls run(N) with the number of taps as a type, 0 for more than have a function of their own.
template <int N>
struct Taps {
    static constexpr int64_t fixed = N;
};
template <class Run>
ATTAR_INLINE void with_taps(int64_t taps, const Run& run) {
    switch (taps) {
        case 1: return run(Taps<1>{});
        case 2: return run(Taps<2>{});
        case 3: return run(Taps<3>{});
        case 4: return run(Taps<4>{});
        case most_unrolled: return run(Taps<most_unrolled>{});
        default: return run(Taps<0>{});
    }
}

// The first `count` numbers, and anything in the other lanes, whose memory is not touched.
template <class W, class T>
ATTAR_INLINE Vec<W> load_some(const T* from, int64_t count) {
    if constexpr (has_masked_loads && same<W, T>) {
        return load_between(from, 0, count);
    } else {
        T part[lanes<W>] = {};
        for (int64_t i = 0; i < count; ++i) part[i] = from[i];
        return load_as<W>(part);
    }
}

// to[i] = value(i, lanes from there on) for i in [0, count). The last vector overlaps the one
// before it; `value` is told how many of its lanes count only where there is no other.
template <class W, class T, class Value>
ATTAR_INLINE void each_vector(int64_t count, T* to, const Value& value) {
    constexpr int64_t L = lanes<W>;
    if (count < L) {
        if (count > 0) store_first_as<W>(to, value(0, count), count);
        return;
    }
    for (int64_t i = 0; i < count - L; i += L) store_as<W>(to + i, value(i, L));
    store_as<W>(to + count - L, value(count - L, L));
}

// to[i] = sum over k of weights[k] * rows[k][i].
template <class Count, class S, class W, class T>
void weigh_rows(Count, const S* const* rows, const W* weights, int64_t taps, int64_t count, T* to) {
    constexpr int64_t N = Count::fixed;
    const auto sum = [=](const S* const* from, const auto* factors, int64_t i, int64_t valid) {
        Vec<W> total{};
        for (int64_t k = 0; k < (N ? N : taps); ++k) {
            const Vec<W> value = valid == lanes<W> ? load_as<W>(from[k] + i)
                                                   : load_some<W>(from[k] + i, valid);
            total += (factors[k] - Vec<W>{}) * value;
        }
        return total;
    };
    if constexpr (N > 0) {
        // Copies: the compiler cannot know that the row does not write over them.
        const S* from[N];
        Vec<W> factors[N];
        for (int64_t k = 0; k < N; ++k) from[k] = rows[k], factors[k] = broadcast(weights[k]);
        each_vector<W>(count, to,
                       [&](int64_t i, int64_t valid) { return sum(from, factors, i, valid); });
    } else {
        each_vector<W>(count, to,
                       [&](int64_t i, int64_t valid) { return sum(rows, weights, i, valid); });
    }
}

// to[i] = maximum over k of rows[k][i].
template <class Count, class S, class W>
void largest_of_rows(Count, const S* const* rows, int64_t taps, int64_t count, W* to) {
    constexpr int64_t N = Count::fixed;
    const auto largest = [=](const S* const* from, int64_t i, int64_t valid) {
        const auto read = [=](int64_t k) {
            return valid == lanes<W> ? load_as<W>(from[k] + i) : load_some<W>(from[k] + i, valid);
        };
        Vec<W> value = read(0);
        for (int64_t k = 1; k < (N ? N : taps); ++k) value = max_nan<W>(value, read(k));
        return value;
    };
    if constexpr (N > 0) {
        const S* from[N];
        for (int64_t k = 0; k < N; ++k) from[k] = rows[k];
        each_vector<W>(count, to, [&](int64_t i, int64_t valid) { return largest(from, i, valid); });
    } else {
        each_vector<W>(count, to, [&](int64_t i, int64_t valid) { return largest(rows, i, valid); });
    }
}

// Output pixel o of `to` = sum over k of weights[k] * pixel (o * stride + k) of `line`, which is
// readable for three vectors behind its last pixel.
template <class Count, class W, class T>
void weigh_pixels(Count, const W* line, const W* weights, int64_t taps, int64_t stride,
                  int64_t channels, int64_t count, T* to) {
    constexpr int64_t L = lanes<W>, N = Count::fixed;
    const int64_t window = N ? N : taps;
    Vec<W> kept[N ? N : 1];
    for (int64_t k = 0; k < N; ++k) kept[k] = broadcast(weights[k]);
    const auto weight = [&](int64_t k) { return N ? kept[N ? k : 0] : broadcast(weights[k]); };

    if (stride == 1) {  // the lanes may hold anything: all of them are shifted alike
        each_vector<W>(count * channels, to, [&](int64_t i, int64_t) {
            Vec<W> total{};
            for (int64_t k = 0; k < window; ++k)
                total += weight(k) * load(line + i + k * channels);
            return total;
        });
    } else if (stride == 2 && channels == 1) {
        each_vector<W>(count, to, [&](int64_t i, int64_t) {
            Vec<W> total{}, low{}, high{};
            for (int64_t k = 0; k < window; ++k) {
                if (k % 2 == 0) low = load(line + 2 * i + k), high = load(line + 2 * i + k + L);
                total += weight(k) * (k % 2 == 0 ? even_lanes<W>(low, high)
                                                 : odd_lanes<W>(low, high));
            }
            return total;
        });
    } else {
        // Pixel by pixel in whole vectors. Where a pixel has fewer channels, the next one
        // overwrites what is too much; only the row must not be left.
        const int64_t end = count * channels;
        for (int64_t o = 0; o < count; ++o)
            for (int64_t c = 0; c < channels; c += L) {
                const W* from = line + o * stride * channels + c;
                Vec<W> total{};
                for (int64_t k = 0; k < window; ++k)
                    total += weight(k) * load(from + k * channels);
                const int64_t at = o * channels + c;
                if (at + L <= end)
                    store_as<W>(to + at, total);
                else
                    store_first_as<W>(to + at, total, end - at);
            }
    }
}

// Pixel o of `from` becomes pixel o * stride of `to`, where zeros are already.
template <class W>
void spread_pixels(const W* from, int64_t stride, int64_t channels, int64_t count, W* to) {
    constexpr int64_t L = lanes<W>;
    int64_t o = 0;
    if (channels == 1 && stride == 2)
        for (; o + L < count; o += L) {  // the zero behind the last one may not be there
            const Vec<W> value = load(from + o);
            store(to + 2 * o, first_by_turns<W>(value, Vec<W>{}));
            store(to + 2 * o + L, second_by_turns<W>(value, Vec<W>{}));
        }
    for (; o < count; ++o) {
        W* const pixel = to + o * stride * channels;
        for (int64_t c = 0; c < channels; ++c) pixel[c] = from[o * channels + c];
    }
}

}  // namespace attar::ATTAR_ISA
