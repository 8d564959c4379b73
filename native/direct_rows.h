// Short windows, straight from the rows of the images into registers: no line, no buffer.
//
// An output is the reduction of few numbers; where they lie in few rows, it is cheaper to read them
// again for the next output than to keep anything. What lies beside the image is left out: taps in
// rows outside are not read, and the outputs at the left and right border take fewer taps.
//
// Where rows of single channels lie dense (*planar*), a vector holds outputs side by side
// (short_windows.h); where channels do, it holds channels of one output.
//
// An Op says what the numbers are, how they are read, and what is written:
//   Stored, Work, Reduce      numbers in memory, numbers computed with, their reduction
//   costly_read               whether reading a number again costs more than keeping it
//   read(p), read_one(p)      the vector, or the number, at p
//   divisor(axis, o)          what a result is divided by, as far as the axis goes
//   finished(value, divisor)  the vector of results
//   write(to, value), write_first(to, value, count)
#pragma once

#include "arena.h"
#include "lines.h"
#include "numbers.h"
#include "parallel.h"
#include "short_windows.h"
#include "streamed.h"

namespace attar::ATTAR_ISA {

template <class Op>
class DirectRows {
  public:
    using T = typename Op::Stored;
    using W = typename Op::Work;
    using Reduce = typename Op::Reduce;
    static constexpr int64_t L = lanes<W>;

    DirectRows(const Images<const T>& in, const Images<T>& out, const Pool& pool, const Op& op)
        : in_(in), out_(out), op_(op), z_(TrimmedAxis(pool.z).axis), y_(TrimmedAxis(pool.y).axis),
          x_(TrimmedAxis(pool.x).axis), planar_(in.x_stride == 1 && out.x_stride == 1),
          streams_(Streamed::worthwhile(out)) {
        const int64_t row = max(1, x_.out) * outputs_per_pixel();
        columns_ = x_.out;
        if (rows() < 4 * get_num_threads() || row > row_bytes / int64_t{sizeof(T)})
            columns_ = min(x_.out, max(planar_ ? 1024 : 1, row_bytes / int64_t{sizeof(T)} /
                                                               outputs_per_pixel()));
        const int64_t input = columns_ * x_.stride * y_.stride * outputs_per_pixel();
        band_ = max(1, min(task_bytes / int64_t{sizeof(T)} / input,
                           rows() / (4 * get_num_threads())));
    }

    // Whether windows are short enough, and rows long enough for vectors.
    bool serves() const {
        if (z_.bounds || y_.bounds || x_.bounds) return false;
        const int64_t rows = y_.window * z_.window;
        if (rows > most_rows || (z_.window > 1 && !Reduce::any_order)) return false;
        const bool overlap =
            z_.window > z_.stride || y_.window > y_.stride || x_.window > x_.stride;
        if (Op::costly_read && overlap) return false;
        if (planar_)
            return x_.dilation == 1 && short_windows_exist(x_.window, x_.stride) &&
                   inner_end(x_.out) - inner_begin(0) >= L;
        return in_.c_stride == 1 && out_.c_stride == 1 && in_.channels >= L &&
               rows * x_.window <= (overlap ? 9 : 16) && y_.window <= Reduce::short_window &&
               x_.window <= Reduce::short_window;
    }

    void run() const {
        const int64_t pieces = ceil_div(x_.out, columns_);
        const auto stage = static_cast<size_t>(
            Streamed::stage_bytes + columns_ * outputs_per_pixel() * int64_t{sizeof(T)});
        parallel_for(
            ceil_div(rows(), band_) * pieces, streams_ ? stage + 64 : 0,
            [=, this](int64_t task, void* memory) {
                const int64_t begin = task % pieces * columns_, first = task / pieces * band_;
                const int64_t end = min(x_.out, begin + columns_);
                Streamed stream(static_cast<char*>(memory));
                for (int64_t row = first; row < min(rows(), first + band_); ++row)
                    compute(row, begin, end, streams_ ? &stream : nullptr);
                if (streams_) stream.finish();
            });
    }

  private:
    static constexpr int64_t most_rows = 12;
    static constexpr int64_t row_bytes = 16 << 10;    // of a piece's output
    static constexpr int64_t task_bytes = 128 << 10;  // of input

    int64_t outputs_per_pixel() const { return planar_ ? 1 : in_.channels; }
    // Of the answer, those of all planes counted.
    int64_t rows() const { return in_.n * (planar_ ? in_.channels : 1) * z_.out * y_.out; }

    // The outputs from `begin` on, or in front of `end`, whose windows lie inside the image.
    int64_t inner_begin(int64_t begin) const {
        return max(begin, ceil_div(max(0, x_.pad_before), x_.stride));
    }
    int64_t inner_end(int64_t end) const {
        const int64_t last = x_.in - x_.extent() + x_.pad_before;
        return min(end, last < 0 ? 0 : last / x_.stride + 1);
    }

    // The rows that a window reads: where each begins, with the image.
    struct Rows {
        const T* row[most_rows] = {};
        int64_t count = 0;
    };

    // Outputs [begin, end) of a row.
    void compute(int64_t row, int64_t begin, int64_t end, Streamed* stream) const {
        const int64_t oy = row % y_.out;
        row /= y_.out;
        const int64_t oz = row % z_.out;
        row /= z_.out;
        const int64_t channel = planar_ ? row % in_.channels : 0;
        const int64_t n = planar_ ? row / in_.channels : row;
        Rows rows;
        const T* const image = in_.image(n) + channel * in_.c_stride;
        for (int64_t k = 0; k < z_.window; ++k) {
            const int64_t z = z_.first(oz) + k * z_.dilation;
            if (z < 0 || z >= in_.depth) continue;
            for (int64_t j = 0; j < y_.window; ++j) {
                const int64_t y = y_.first(oy) + j * y_.dilation;
                if (y >= 0 && y < in_.height)
                    rows.row[rows.count++] = image + z * in_.z_stride + y * in_.y_stride;
            }
        }
        T* to = out_.image(n) + channel * out_.c_stride + oz * out_.z_stride + oy * out_.y_stride +
                begin * out_.x_stride;
        const bool dense = planar_ || out_.x_stride == in_.channels;
        if (stream && dense)
            to = stream->room(to, (end - begin) * outputs_per_pixel() * int64_t{sizeof(T)});
        const W divisor = op_.divisor(op_.pool.z, oz) * op_.divisor(op_.pool.y, oy);
        if (!planar_) {
            pixel_row(rows, begin, end, to, divisor);
            return;
        }
        // With few rows their addresses stay in registers.
        const T *const a = rows.row[0], *const b = rows.row[1], *const c = rows.row[2];
        if (rows.count == 2)
            planar_row([&](int64_t k) ATTAR_INLINED { return k ? b : a; }, 2, begin, end, to,
                       divisor);
        else if (rows.count == 3)
            planar_row([&](int64_t k) ATTAR_INLINED { return k == 0 ? a : k == 1 ? b : c; }, 3,
                       begin, end, to, divisor);
        else
            planar_row([&](int64_t k) ATTAR_INLINED { return rows.row[k]; }, rows.count, begin,
                       end, to, divisor);
    }

    template <class Row>
    ATTAR_INLINE void planar_row(const Row& row, int64_t count, int64_t begin, int64_t end, T* to,
                                 W divisor) const {
        int64_t inner = min(end, inner_begin(begin)), behind = max(inner, inner_end(end));
        if (behind - inner < L) inner = behind = end;
        for (int64_t x = begin; x < inner; ++x) border(row, count, x, to + x - begin, divisor);
        if (inner < behind) {
            const int64_t first = x_.first(inner);
            T* const target = to + inner - begin;
            const Vec<W> all = broadcast(static_cast<W>(divisor * op_.divisor(op_.pool.x, inner)));
            const auto at = [&](int64_t i) ATTAR_INLINED {
                return reduce_window<Reduce>(
                    [&](int64_t k) ATTAR_INLINED { return op_.read(row(k) + first + i); }, count);
            };
            reduce_short_windows<Reduce, W>(
                x_.window, x_.stride, behind - inner, at,
                [&](int64_t o, Vec<W> value)
                    ATTAR_INLINED { op_.write(target + o, op_.finished(value, all)); });
        }
        for (int64_t x = behind; x < end; ++x) border(row, count, x, to + x - begin, divisor);
    }

    // An output whose window reaches beyond its rows.
    template <class Row>
    void border(const Row& row, int64_t count, int64_t x, T* to, W divisor) const {
        const int64_t from = max(0, x_.first(x)), behind = min(x_.in, x_.first(x) + x_.window);
        const auto at = [&](int64_t i) {
            return reduce_window<Reduce>([&](int64_t k) { return op_.read_one(row(k) + from + i); },
                                         count);
        };
        const W value = reduce_window<Reduce>(at, behind - from);
        const W all = divisor * op_.divisor(op_.pool.x, x);
        op_.write_first(to, op_.finished(broadcast(value), broadcast(all)), 1);
    }

    void pixel_row(const Rows& rows, int64_t begin, int64_t end, T* to, W divisor) const {
        const int64_t step = x_.dilation * in_.x_stride;
        for (int64_t x = begin; x < end; ++x, to += out_.x_stride) {
            const int64_t taps = x_.taps_within(x, 0, x_.in);
            int64_t first = x_.first(x);
            if (first < 0) first += ceil_div(-first, x_.dilation) * x_.dilation;
            first *= in_.x_stride;
            const W all = divisor * op_.divisor(op_.pool.x, x);
            if (rows.count == 2 && taps == 2)
                pixel(rows, 2, 2, first, step, to, all);
            else if (rows.count == 3 && taps == 3)
                pixel(rows, 3, 3, first, step, to, all);
            else
                pixel(rows, rows.count, taps, first, step, to, all);
        }
    }

    ATTAR_INLINE void pixel(const Rows& rows, int64_t count, int64_t taps, int64_t from,
                            int64_t step, T* to, W divisor) const {
        const Vec<W> all = broadcast(divisor);
        const auto channels = [&](int64_t c) ATTAR_INLINED {
            const auto at = [&](int64_t i) ATTAR_INLINED {
                const int64_t offset = from + i * step + c;
                return reduce_window<Reduce>(
                    [&](int64_t k) ATTAR_INLINED { return op_.read(rows.row[k] + offset); }, count);
            };
            op_.write(to + c, op_.finished(reduce_window<Reduce>(at, taps), all));
        };
        int64_t c = 0;
        for (; c + L <= in_.channels; c += L) channels(c);
        // What remains, as a whole vector that ends with the pixel.
        if (c < in_.channels) channels(in_.channels - L);
    }

    const Images<const T>& in_;
    const Images<T>& out_;
    const Op& op_;
    const Axis z_, y_, x_;  // trimmed
    const bool planar_;     // whether a vector holds outputs side by side, or else channels
    const bool streams_;    // whether the answer is too large to stay in a cache
    int64_t columns_, band_;  // outputs and rows of a task
};

}  // namespace attar::ATTAR_ISA
