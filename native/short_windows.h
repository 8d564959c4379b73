// Short windows along rows, in registers: as many outputs at a time as a vector has lanes.
#pragma once

#include "reduce.h"

namespace attar::ATTAR_ISA {

// Whether `reduce_short_windows` knows windows of so many taps at this stride.
inline bool short_windows_exist(int64_t taps, int64_t stride) {
    return stride == 4 ? taps == 4 : (stride == 1 || stride == 2) && (taps == 2 || taps == 3);
}

// A vector of windows. at(i) is the vector of inputs from input i on, counted from the first window;
// none is read behind the last window. Taps are combined in their order.
template <class Reduce, class W, int taps, int stride, class At>
ATTAR_INLINE Vec<W> short_windows(const At& at) {
    constexpr int64_t L = lanes<W>;
    if constexpr (stride == 1) {
        return reduce_window<Reduce>(at, taps);
    } else if constexpr (stride == 2) {
        if constexpr (taps == 2) return combine_neighbours<Reduce, W>(at(0), at(L));
        // The first tap goes alone, so that pairs end where the windows do.
        const Vec<W> a = at(1), b = at(1 + L);
        const Vec<W> value =
            Reduce::combine(even_lanes<W>(at(0), at(L)), even_lanes<W>(a, b));
        return Reduce::combine(value, odd_lanes<W>(a, b));
    } else {
        const Vec<W> a = at(0), b = at(L), c = at(2 * L), d = at(3 * L);
        const Vec<W> even_1 = even_lanes<W>(a, b), even_2 = even_lanes<W>(c, d);
        const Vec<W> odd_1 = odd_lanes<W>(a, b), odd_2 = odd_lanes<W>(c, d);
        Vec<W> value = even_lanes<W>(even_1, even_2);
        value = Reduce::combine(value, even_lanes<W>(odd_1, odd_2));
        value = Reduce::combine(value, odd_lanes<W>(even_1, even_2));
        return Reduce::combine(value, odd_lanes<W>(odd_1, odd_2));
    }
}

// Calls put(o, values) with the reductions of the windows from o on until all `count` of them, at
// least as many as a vector has lanes, are there; some come twice.
template <class Reduce, class W, class At, class Put>
ATTAR_INLINE void reduce_short_windows(int64_t taps, int64_t stride, int64_t count, const At& at,
                                       const Put& put) {
    constexpr int64_t L = lanes<W>;
    const auto row = [&](auto taps_constant, auto stride_constant) ATTAR_INLINED {
        constexpr int of = taps_constant(), step = stride_constant();
        const auto outputs = [&](int64_t o) ATTAR_INLINED {
            put(o, short_windows<Reduce, W, of, step>([&](int64_t i)
                                                          ATTAR_INLINED { return at(o * step + i); }));
        };
        for (int64_t o = 0; o + L <= count; o += L) outputs(o);
        // What remains, as a whole vector that ends with the row.
        if (count % L) outputs(count - L);
    };
    if (stride == 4)
        row(Constant<4>{}, Constant<4>{});
    else if (stride == 2)
        taps == 2 ? row(Constant<2>{}, Constant<2>{}) : row(Constant<3>{}, Constant<2>{});
    else
        taps == 2 ? row(Constant<2>{}, Constant<1>{}) : row(Constant<3>{}, Constant<1>{});
}

}  // namespace attar::ATTAR_ISA
