// The maximum of each window, and which of its taps that is.
//
// Numbers of up to 32 bits are packed with their place into one of 64: the number, as a whole
// number that compares as it does, above, and below the place, counted down. The largest of the
// packed numbers then is the largest number and, of equal ones, the first; every way to reduce a
// window works on them as it does on a maximum. Wider numbers take the straight way.
//
// Rectified, a maximum that is not positive is 0, and its winner a number that no tap has.
#include "numbers.h"
#include "operations.h"
#include "windowed_rows.h"

namespace attar::ATTAR_ISA {
namespace {

// A number as one of 32 bits in the same order; equal numbers are equal, and NaN is largest.
template <class T>
ATTAR_INLINE int32_t ordered(T value) {
    if constexpr (is_float<Wide<T>>) {
        const float number = widen(value);
        if (number != number) return INT32_MAX;
        const auto bits = static_cast<int32_t>(as_bits(number));
        return bits == INT32_MIN ? 0 : bits ^ ((bits >> 31) & INT32_MAX);
    } else if constexpr (same<T, uint32_t>) {
        return static_cast<int32_t>(value ^ 0x80000000u);
    } else {
        return value;
    }
}

template <class T>
ATTAR_INLINE Vec<int64_t> ordered_vector(const T* from) {
    if constexpr (is_float<Wide<T>>) {
        // Half of the lanes of a float vector: read number by number into one, then widened.
        typedef int32_t Narrow __attribute__((vector_size(ATTAR_VECTOR_BYTES / 2)));
        typedef float Floats __attribute__((vector_size(ATTAR_VECTOR_BYTES / 2)));
        Floats number;
        if constexpr (same<T, float>)
            std::memcpy(&number, from, sizeof number);
        else
            for (int64_t i = 0; i < lanes<int64_t>; ++i) number[i] = widen(from[i]);
        const Narrow bits = (Narrow)number;
        const Narrow flipped = bits ^ ((bits >> 31) & INT32_MAX);
        const Narrow key = bits == INT32_MIN ? Narrow{} : flipped;
        return __builtin_convertvector(number == number ? key : Narrow{} + INT32_MAX, Vec<int64_t>);
    } else if constexpr (same<T, uint32_t>) {
        return __builtin_convertvector((load_part<uint32_t, int64_t>(from)), Vec<int64_t>) -
               (int64_t{1} << 31);
    } else {
        return __builtin_convertvector((load_part<T, int64_t>(from)), Vec<int64_t>);
    }
}

template <class T>
ATTAR_INLINE T from_ordered(int32_t key) {
    if constexpr (is_float<Wide<T>>)
        return narrow<T>(as_float(static_cast<uint32_t>(key ^ ((key >> 31) & INT32_MAX))));
    else if constexpr (same<T, uint32_t>)
        return static_cast<uint32_t>(key) ^ 0x80000000u;
    else
        return static_cast<T>(key);
}

// The taps of winners: unsigned numbers of 1, 2 or 4 bytes.
struct Offsets {
    void* data;
    int bytes;

    ATTAR_INLINE void set(int64_t at, int64_t offset) const {
        if (bytes == 1)
            static_cast<uint8_t*>(data)[at] = static_cast<uint8_t>(offset);
        else if (bytes == 2)
            static_cast<uint16_t*>(data)[at] = static_cast<uint16_t>(offset);
        else
            static_cast<uint32_t*>(data)[at] = static_cast<uint32_t>(offset);
    }
    ATTAR_INLINE void set(int64_t at, Vec<int64_t> offsets) const {
        if (bytes == 1)
            store_as<int64_t>(static_cast<uint8_t*>(data) + at, offsets);
        else if (bytes == 2)
            store_as<int64_t>(static_cast<uint16_t*>(data) + at, offsets);
        else
            store_as<int64_t>(static_cast<uint32_t*>(data) + at, offsets);
    }
};

template <class T>
struct WinnerOp {
    using Stored = T;
    using Work = int64_t;
    using Reduce = Max<int64_t>;
    static constexpr bool writes_results = false, costly_read = false;
    static constexpr bool needs_per_output = true, needs_per_input = true, streams = false;

    const Pool& pool;
    Offsets winners;  // with the strides of `out`
    bool rectified;
    TrimmedAxis z, y, x;
    int x_bits;  // of a place: row << x_bits | column

    WinnerOp(const Pool& pool_, Offsets winners_, bool rectified_)
        : pool(pool_), winners(winners_), rectified(rectified_), z(pool.z), y(pool.y), x(pool.x),
          x_bits(1) {
        while ((int64_t{1} << x_bits) < x.axis.in) ++x_bits;
    }

    // Whether a row and a column fit into 32 bits.
    bool fits() const {
        return x_bits < 30 && z.axis.window <= (int64_t{1} << (31 - x_bits)) / (2 * y.axis.in);
    }

    ATTAR_INLINE Vec<int64_t> read(const T* p, int64_t row, int64_t i,
                                   const Lines<int64_t>& lines) const {
        const Vec<int64_t> place = load(lines.per_input + i) | (row << x_bits);
        return (ordered_vector(p) << 32) | (place ^ 0xffffffff);
    }
    ATTAR_INLINE int64_t read_one(const T* p, int64_t row, int64_t i,
                                  const Lines<int64_t>& lines) const {
        const int64_t place = lines.per_input[i] + (row << x_bits);
        return static_cast<int64_t>(static_cast<uint64_t>(int64_t{ordered(*p)}) << 32) |
               (0xffffffff - place);
    }

    // per_input: the column of each number of the line. per_output: where each window begins.
    void prepare(const Piece& piece, const Lines<int64_t>& lines) const {
        const Stretch& columns = piece.columns;
        const int64_t repeat = piece.pitch > 1 ? 1 : piece.channels;
        int64_t* to = lines.per_input;
        for (int64_t c = 0; c < repeat; ++c, to = lines.per_input + c * piece.line_stride)
            for (int64_t column = columns.first; column < columns.last; ++column)
                for (int64_t i = 0; i < piece.pitch; ++i) *to++ = column < 0 ? 0 : column;
        to = lines.per_output;
        for (int64_t o = columns.begin; o < columns.end; ++o)
            for (int64_t i = 0; i < (x.axis.out == 1 ? piece.channels : piece.pitch); ++i)
                *to++ = x.axis.first(o);
        for (int64_t i = 0; i < lanes<int64_t>; ++i) to[i] = 0;  // read, but not used
    }

    void emit(const Run<int64_t>& run, T* values, const Piece& piece,
              const Lines<int64_t>& lines) const {
        constexpr int64_t L = lanes<int64_t>;
        const int64_t first_row = y.axis.first(piece.y) - piece.rows.first;
        const int64_t band = piece.rows.span(), mask = (int64_t{1} << x_bits) - 1;
        const int64_t width = pool.x.window;
        const int64_t skipped =
            (z.skipped * pool.y.window + y.skipped) * width + x.skipped;
        const bool plain = z.axis.window == 1 && y.axis.dilation == 1 && x.axis.dilation == 1;
        for (int64_t i = 0; i < run.count; i += L) {
            Vec<int64_t> packed = load(run.from + i);
            const Vec<int64_t> place = 0xffffffff - (packed & 0xffffffff);
            const Vec<int64_t> row = place >> x_bits;
            const Vec<int64_t> column = (place & mask) - load(lines.per_output + run.index + i);
            Vec<int64_t> offset = (row - first_row) * width + column + skipped;
            if (!plain)
                for (int64_t k = 0; k < L; ++k) {
                    const int64_t kz = row[k] / band + z.skipped;
                    const int64_t ky = (row[k] % band - first_row) / y.axis.dilation + y.skipped;
                    offset[k] = (kz * pool.y.window + ky) * width + column[k] / x.axis.dilation +
                                x.skipped;
                }
            if (rectified) {
                const auto dead = (packed >> 32) <= 0;
                offset = dead ? Vec<int64_t>{} - 1 : offset;
                packed = dead ? Vec<int64_t>{} : packed;
            }
            const int64_t count = min(L, run.count - i), to = run.to + i * run.step;
            if (run.step == 1 && count == L)
                winners.set(to, offset);
            else
                for (int64_t k = 0; k < count; ++k) winners.set(to + k * run.step, offset[k]);
            for (int64_t k = 0; k < count; ++k)
                values[(i + k) * run.step] = from_ordered<T>(static_cast<int32_t>(packed[k] >> 32));
        }
    }
};

template <class Body>
ATTAR_INLINE void for_each_tap(const TrimmedAxis& taps, int64_t o, int64_t size, const Body& body) {
    const Axis& axis = taps.axis;
    for (int64_t k = 0; k < axis.taps(o); ++k) {
        const int64_t at = axis.first(o) + k * axis.dilation;
        if (at >= 0 && at < size) body(k + taps.skipped, at);
    }
}

template <class T>
ATTAR_INLINE bool wins(T value, T best) {
    const Wide<T> a = widen(value), b = widen(best);
    return a > b || (a != a && b == b);
}

bool same_strides(const AnyOutput& a, const AnyOutput& b) {
    return a.n_stride == b.n_stride && a.z_stride == b.z_stride && a.y_stride == b.y_stride &&
           a.x_stride == b.x_stride && a.c_stride == b.c_stride;
}

// Tap by tap, number by number: for numbers of 64 bits, and windows that no place can count.
template <class T>
void straight(const Images<const T>& in, const Images<T>& out, const AnyOutput& winners,
              const Offsets& offsets, const Pool& pool, bool rectified) {
    const TrimmedAxis z(pool.z), y(pool.y), x(pool.x);
    parallel_for(out.n * out.depth * out.height, 0, [&](int64_t task, void*) {
        const int64_t oy = task % out.height, oz = task / out.height % out.depth;
        const int64_t n = task / out.height / out.depth;
        const int64_t to = n * out.n_stride + oz * out.z_stride + oy * out.y_stride;
        const int64_t to_winner =
            n * winners.n_stride + oz * winners.z_stride + oy * winners.y_stride;
        for (int64_t ox = 0; ox < out.width; ++ox)
            for (int64_t c = 0; c < out.channels; ++c) {
                T best{};
                int64_t winner = -1;
                for_each_tap(z, oz, in.depth, [&](int64_t kz, int64_t iz) {
                    for_each_tap(y, oy, in.height, [&](int64_t ky, int64_t iy) {
                        for_each_tap(x, ox, in.width, [&](int64_t kx, int64_t ix) {
                            const T value = in.image(n)[iz * in.z_stride + iy * in.y_stride +
                                                        ix * in.x_stride + c * in.c_stride];
                            if (winner < 0 || wins(value, best)) {
                                best = value;
                                winner = (kz * pool.y.window + ky) * pool.x.window + kx;
                            }
                        });
                    });
                });
                if (rectified && widen(best) <= 0) {
                    best = T{};
                    winner = -1;
                }
                out.data[to + ox * out.x_stride + c * out.c_stride] = best;
                offsets.set(to_winner + ox * winners.x_stride + c * winners.c_stride, winner);
            }
    });
}

template <class T>
void pool_winners_of(const AnyInput& in, const AnyOutput& out, const AnyOutput& winners,
                     int winner_bytes, const Pool& pool, bool rectified) {
    const auto from = in.as<const T>();
    const auto to = out.as<T>();
    const Offsets offsets{winners.data, winner_bytes};
    if constexpr (sizeof(T) <= sizeof(int32_t)) {
        const WinnerOp<T> op(pool, offsets, rectified);
        if (op.fits() && same_strides(out, winners)) {
            WindowedRows<WinnerOp<T>>(from, to, pool, op).run();
            return;
        }
    }
    straight(from, to, winners, offsets, pool, rectified);
}

}  // namespace

void pool_winners(Number number, const AnyInput& in, const AnyOutput& out,
                  const AnyOutput& winners, int winner_bytes, const Pool& pool, bool rectified) {
    with_type(number, [&](auto zero) {
        pool_winners_of<decltype(zero)>(in, out, winners, winner_bytes, pool, rectified);
    });
}

}  // namespace attar::ATTAR_ISA
