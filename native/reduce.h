// Reductions, and how the taps of a window are put together.
//
// A maximum may be taken in any order. A sum is rounded, so its order is fixed, and it depends on
// nothing but the number of taps: up to `short_sum` one after the other, beyond that by blocks of
// 4, 16, 64, ... taps, each the sum of the four quarters in turn. Written in base 4, the number
// of taps says how many blocks of each size there are; those of a size are added, and then the sums
// of the sizes, the small ones first. Neighbouring windows share their blocks, whichever way they
// are computed (slide.h).
#pragma once

#include "simd.h"

namespace attar::ATTAR_ISA {

constexpr int64_t short_sum = 8;
// Up to so many taps a maximum is cheapest straight away.
constexpr int64_t short_maximum = 6;

template <class T>
struct Max {
    static constexpr bool divides = false, any_order = true;
    static constexpr int64_t short_window = short_maximum;
    static T neutral() {
        if constexpr (is_float<T>)
            return -std::numeric_limits<T>::infinity();
        else
            return std::numeric_limits<T>::min();
    }
    template <class V>
    static ATTAR_INLINE V combine(V a, V b) {
        return max_nan<T>(a, b);
    }
};

// The same where no number is NaN: one instruction instead of two.
template <class T>
struct MaxOfNumbers : Max<T> {
    template <class V>
    static ATTAR_INLINE V combine(V a, V b) {
        return larger<T>(a, b);
    }
};

// What to reduce with once it is known that no number is NaN.
template <class Reduce>
struct WithoutNan {
    using type = Reduce;
};
template <>
struct WithoutNan<Max<float>> {
    using type = MaxOfNumbers<float>;
};
template <>
struct WithoutNan<Max<double>> {
    using type = MaxOfNumbers<double>;
};

template <class T>
struct Sum {
    static constexpr bool divides = true, any_order = false;
    static constexpr int64_t short_window = short_sum;
    static T neutral() { return 0; }
    template <class V>
    static ATTAR_INLINE V combine(V a, V b) {
        return a + b;
    }
};

// Windows of two neighbours in a and b, laid end to end.
template <class Reduce, class T>
ATTAR_INLINE Vec<T> combine_neighbours(Vec<T> a, Vec<T> b) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    // Lanes cross the middle of a vector once, behind the combination, instead of four times.
    if constexpr (lanes<T> == 8) {
        const Vec<T> value = Reduce::combine(
            Vec<T>(__builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14)),
            Vec<T>(__builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15)));
        return __builtin_shufflevector(value, value, 0, 1, 4, 5, 2, 3, 6, 7);
    } else if constexpr (lanes<T> == 4) {
        const Vec<T> value = Reduce::combine(Vec<T>(__builtin_shufflevector(a, b, 0, 4, 2, 6)),
                                             Vec<T>(__builtin_shufflevector(a, b, 1, 5, 3, 7)));
        return __builtin_shufflevector(value, value, 0, 2, 1, 3);
    }
#endif
    return Reduce::combine(even_lanes<T>(a, b), odd_lanes<T>(a, b));
}

// Calls block(offset, size) for each block that a window of `taps` is made of, in order.
template <class Block>
ATTAR_INLINE void for_each_block(int64_t taps, const Block& block) {
    int64_t offset = 0;
    for (int64_t size = 1; offset < taps; size *= 4) {
        const int64_t larger = (taps - offset) / (4 * size);
        for (; offset + 4 * size * larger < taps; offset += size) block(offset, size);
    }
}

template <class Reduce, class At>
auto reduce_block(const At& at, int64_t offset, int64_t size) -> decltype(at(0)) {
    const int64_t quarter = size / 4;
    const auto part = [&](int64_t i) -> decltype(at(0)) {
        if (quarter == 1) return at(offset + i);
        return reduce_block<Reduce>(at, offset + i * quarter, quarter);
    };
    return Reduce::combine(Reduce::combine(Reduce::combine(part(0), part(1)), part(2)), part(3));
}

// The reduction of at(0), ..., at(taps - 1), which are vectors or numbers.
template <class Reduce, class At>
ATTAR_INLINE auto reduce_window(const At& at, int64_t taps) {
    auto value = at(0);
    if (Reduce::any_order || taps <= Reduce::short_window) {
        for (int64_t k = 1; k < taps; ++k) value = Reduce::combine(value, at(k));
        return value;
    }
    decltype(value) group = value;  // of blocks of one size
    int64_t group_size = 0;
    bool begun = false;
    const auto add_group = [&] {
        value = begun ? Reduce::combine(value, group) : group;
        begun = true;
    };
    for_each_block(taps, [&](int64_t offset, int64_t size) {
        decltype(value) block = at(offset);
        if (size == 4)
            for (int64_t k = 1; k < 4; ++k) block = Reduce::combine(block, at(offset + k));
        else if (size > 4)
            block = reduce_block<Reduce>(at, offset, size);
        if (size == group_size) {
            group = Reduce::combine(group, block);
        } else {
            if (group_size) add_group();
            group = block;
            group_size = size;
        }
    });
    add_group();
    return value;
}

}  // namespace attar::ATTAR_ISA
