// What pools without winners have in common: how numbers are read, and what is done with them.
//
// A Read says:
//   Work                       numbers computed with
//   costly                     whether reading a number again costs more than keeping it
//   reorders                   whether Work are bits whose order is that of the numbers: flip(v)
//                              makes them the bits of numbers again
//   is_norm                    whether result(sum) is what becomes of a window's sum
//   operator()(p), one(value)  the vector at p, or a number, as Work
#pragma once

#include "direct_rows.h"
#include "windowed_rows.h"

namespace attar::ATTAR_ISA {
// Of each file its own: what is called once is inlined only where nobody else can call it.
namespace {

template <class T>
struct Plain {
    using Work = Wide<T>;
    static constexpr bool costly = !same<T, Work>, reorders = false, is_norm = false;
    ATTAR_INLINE Vec<Work> operator()(const T* p) const { return load_as<Work>(p); }
    ATTAR_INLINE Work one(T value) const { return widen(value); }
};

template <class T, class Reduction, class Read>
struct PoolOp {
    using Stored = T;
    using Work = typename Read::Work;
    using Reduce = Reduction;
    static constexpr bool writes_results = same<T, Work> && !Reduce::divides;
    static constexpr bool costly_read = Read::costly;
    static constexpr bool needs_per_output = Reduce::divides, needs_per_input = false;
    static constexpr bool streams = true;

    const Pool& pool;
    int64_t out_width;
    Read read_;

    ATTAR_INLINE Vec<Work> read(const T* p) const { return read_(p); }
    ATTAR_INLINE Work read_one(const T* p) const { return read_.one(*p); }
    ATTAR_INLINE Vec<Work> read(const T* p, int64_t, int64_t, const Lines<Work>&) const {
        return read_(p);
    }
    ATTAR_INLINE Work read_one(const T* p, int64_t, int64_t, const Lines<Work>&) const {
        return read_.one(*p);
    }

    // What a mean is divided by, as far as one axis goes; 1 where nothing is.
    Work divisor(const Axis& axis, int64_t o) const {
        if constexpr (Reduce::divides)
            if (pool.kind == PoolKind::average) return static_cast<Work>(pool.divisor(axis, o));
        return 1;
    }

    // Reduced windows -> results.
    ATTAR_INLINE Vec<Work> finished(Vec<Work> value, Vec<Work> divisor) const {
        if constexpr (Reduce::divides) {
            if (pool.kind == PoolKind::average) {
                value /= divisor;
            } else if constexpr (Read::is_norm) {
                for (int64_t lane = 0; lane < lanes_of; ++lane)
                    value[lane] = read_.result(value[lane]);
            }
        }
        return value;
    }

    static ATTAR_INLINE void write(T* to, Vec<Work> value) {
        if constexpr (Read::reorders)
            store(reinterpret_cast<int16_t*>(to), Read::flip(value));
        else
            store_as<Work>(to, value);
    }

    static ATTAR_INLINE void write_first(T* to, Vec<Work> value, int64_t count) {
        if constexpr (Read::reorders)
            store_first(reinterpret_cast<int16_t*>(to), Read::flip(value), count);
        else
            store_first_as<Work>(to, value, count);
    }

    // The divisors of a mean along x.
    void prepare(const Piece& piece, const Lines<Work>& lines) const {
        if constexpr (Reduce::divides) {
            if (pool.kind != PoolKind::average) return;
            Work* to = lines.per_output;
            const int64_t repeat = out_width == 1 ? piece.channels : piece.pitch;
            for (int64_t x = piece.columns.begin; x < piece.columns.end; ++x) {
                const auto divisor = static_cast<Work>(pool.divisor(pool.x, x));
                for (int64_t c = 0; c < repeat; ++c) *to++ = divisor;
            }
            for (int64_t i = 0; i < lanes<Work>; ++i) to[i] = 1;
        }
    }

    void emit(const Run<Work>& run, T* to, const Piece& piece, const Lines<Work>& lines) const {
        constexpr int64_t L = lanes_of;
        const Work rows = divisor(pool.y, piece.y) * divisor(pool.z, piece.z);
        const auto results = [&](int64_t i) {
            Vec<Work> all{};
            if constexpr (Reduce::divides)
                if (pool.kind == PoolKind::average)
                    all = load(lines.per_output + run.index + i) * rows;
            return finished(load(run.from + i), all);
        };
        int64_t i = 0;
        if (run.step == 1) {
            for (; i + L <= run.count; i += L) write(to + i, results(i));
            if (i < run.count) write_first(to + i, results(i), run.count - i);
            return;
        }
        for (; i < run.count; i += L) {
            T lane[L];
            write(lane, results(i));
            for (int64_t k = 0; k < min(L, run.count - i); ++k) to[(i + k) * run.step] = lane[k];
        }
    }

  private:
    static constexpr int64_t lanes_of = lanes<Work>;
};

template <class T, class Reduce, class Read>
void run_pool_op(const AnyInput& in, const AnyOutput& out, const Pool& pool, const Read& read) {
    const auto from = in.as<const T>();
    const auto to = out.as<T>();
    const PoolOp<T, Reduce, Read> op{pool, to.width, read};
    if constexpr (!Read::is_norm) {
        const DirectRows<PoolOp<T, Reduce, Read>> direct(from, to, pool, op);
        if (direct.serves()) {
            direct.run();
            return;
        }
    }
    WindowedRows<PoolOp<T, Reduce, Read>>(from, to, pool, op).run();
}

}  // namespace
}  // namespace attar::ATTAR_ISA
