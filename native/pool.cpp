#include "direct_rows.h"
#include "operations.h"
#include "windowed_rows.h"

namespace attar::ATTAR_ISA {
namespace {

// ------------------------------------------------------------------------ how numbers are read

template <class T>
struct Plain {
    using Work = Wide<T>;
    static constexpr bool costly = !same<T, Work>, is_norm = false;
    ATTAR_INLINE Vec<Work> operator()(const T* p) const { return load_as<Work>(p); }
    ATTAR_INLINE Work one(T value) const { return widen(value); }
};

// half and bfloat as whole numbers that compare as the floats do. NaN of either sign is largest.
template <class T>
struct OrderedHalf {
    using Work = int16_t;
    static constexpr bool costly = false, is_norm = false;
    static constexpr int16_t infinity = same<T, Half> ? 0x7c00 : 0x7f80;

    template <class V>
    static ATTAR_INLINE V flip(V bits) {
        return bits ^ ((bits >> 15) & int16_t{0x7fff});
    }
    ATTAR_INLINE Vec<int16_t> operator()(const T* p) const {
        const Vec<int16_t> bits = load(reinterpret_cast<const int16_t*>(p));
        return (bits & int16_t{0x7fff}) > infinity ? broadcast(int16_t{0x7fff}) : flip(bits);
    }
    ATTAR_INLINE int16_t one(T value) const {
        const auto bits = static_cast<int16_t>(value.bits);
        return (bits & 0x7fff) > infinity ? int16_t{0x7fff}
                                          : static_cast<int16_t>(flip(int32_t{bits}));
    }
};

// |x|^p, whose sum a norm takes the root of.
template <class T>
struct Power {
    using Work = Wide<T>;
    static constexpr bool costly = true, is_norm = true;
    Work p, root;
    explicit Power(double exponent)
        : p(static_cast<Work>(exponent)), root(static_cast<Work>(1 / exponent)) {}

    ATTAR_INLINE Vec<Work> operator()(const T* from) const {
        const Vec<Work> x = load_as<Work>(from), magnitude = x < 0 ? -x : x;
        if (p == 1) return magnitude;
        if (p == 2) return x * x;
        Vec<Work> value;
        for (int64_t i = 0; i < lanes<Work>; ++i) value[i] = power(magnitude[i], p);
        return value;
    }
    ATTAR_INLINE Work one(T value) const {
        const Work x = widen(value), magnitude = x < 0 ? -x : x;
        return p == 1 ? magnitude : p == 2 ? x * x : power(magnitude, p);
    }
    ATTAR_INLINE Work result(Work sum) const {
        return p == 1 ? sum : p == 2 ? square_root(sum) : power(sum, root);
    }

  private:
    static ATTAR_INLINE Work power(Work x, Work exponent) {
        if constexpr (sizeof(Work) == sizeof(float))
            return __builtin_powf(x, exponent);
        else
            return __builtin_pow(x, exponent);
    }
    static ATTAR_INLINE Work square_root(Work x) {
        if constexpr (sizeof(Work) == sizeof(float))
            return __builtin_sqrtf(x);
        else
            return __builtin_sqrt(x);
    }
};

// ------------------------------------------------------------------------ what is done with them

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
        if constexpr (restores)
            store(reinterpret_cast<int16_t*>(to), OrderedHalf<T>::flip(value));
        else
            store_as<Work>(to, value);
    }

    static ATTAR_INLINE void write_first(T* to, Vec<Work> value, int64_t count) {
        if constexpr (restores)
            store_first(reinterpret_cast<int16_t*>(to), OrderedHalf<T>::flip(value), count);
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

    // Halves were compared as whole numbers: back to their bits.
    static constexpr bool restores = same<Work, int16_t> && !same<T, int16_t>;
};

template <class T, class Reduce, class Read>
void run(const AnyInput& in, const AnyOutput& out, const Pool& pool, const Read& read) {
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

void pool(Number number, const AnyInput& in, const AnyOutput& out, const Pool& pool) {
    if (pool.kind == PoolKind::max) {
        with_type(number, [&](auto zero) {
            using T = decltype(zero);
            if constexpr (same<T, Half> || same<T, BFloat>)
                run<T, Max<int16_t>>(in, out, pool, OrderedHalf<T>{});
            else
                run<T, Max<T>>(in, out, pool, Plain<T>{});
        });
        return;
    }
    with_float_type(number, [&](auto zero) {
        using T = decltype(zero);
        using Add = Sum<Wide<T>>;
        if (pool.kind != PoolKind::norm)
            run<T, Add>(in, out, pool, Plain<T>{});
        else
            run<T, Add>(in, out, pool, Power<T>(pool.p));
    });
}

}  // namespace attar::ATTAR_ISA
