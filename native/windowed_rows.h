// Windows over images, row by row: what every pool has in common.
//
// An output row is made in two steps. The rows that its windows span are reduced, number by number,
// to one *line* in the cache; then the windows of the line are reduced (slide.h). What lies beside
// the image is never read: rows outside are left out, and the line has margins of the reduction's
// neutral element. So nothing is copied, and a border costs what its pixels cost.
//
// A line holds either whole pixels side by side (their channels adjacent, a pitch of as many), or
// the rows of one or more single channels one after the other (a pitch of 1). Both are flat arrays
// in which the next pixel is `pitch` numbers away.
//
// Where windows share many rows, or rows of several planes are needed (three dimensions), the rows
// of a band go to a buffer first, and the vertical windows slide over its rows as the horizontal
// ones slide over a line.
//
// An Op says what the numbers are, how they are read, and what is written:
//   Stored, Work, Reduce      numbers in memory, numbers computed with, their reduction
//   writes_results            whether a reduced Work is what is stored, as it is
//   streams                   whether results may pass the caches
//   costly_read               whether reading a number again costs more than keeping it
//   read(p, row, i, lines)    the vector at p, which goes to number i of the line
//   read_one(p, row, i, lines)
//   prepare(piece, lines)     fills what depends on the columns, before the rows of a piece; where
//                             there is one column only, planar results are one per channel
//   emit(run, to, piece, lines)
//                             results -> memory, at `to`
#pragma once

#include "arena.h"
#include "lines.h"
#include "numbers.h"
#include "parallel.h"
#include "slide.h"

namespace attar::ATTAR_ISA {

template <class Op>
class WindowedRows {
  public:
    using T = typename Op::Stored;
    using W = typename Op::Work;
    using Reduce = typename Op::Reduce;
    // A NaN has to be looked for at every step, unless one knows that there is none.
    using Quick = typename WithoutNan<Reduce>::type;
    static constexpr bool watches = !same<Quick, Reduce>;
    static constexpr int64_t L = lanes<W>;

    WindowedRows(const Images<const T>& in, const Images<T>& out, const Pool& pool, const Op& op)
        : in_(in), out_(out), op_(op), z_(TrimmedAxis(pool.z).axis), y_(TrimmedAxis(pool.y).axis),
          x_(TrimmedAxis(pool.x).axis), pixels_(in.c_stride == 1 && in.channels > 1),
          rolls_(shares_rows() && Reduce::any_order && y_.dilation == 1),
          buffers_(!rolls_ && (shares_rows() || z_.window > 1 ||
                               (Op::costly_read && y_.window > y_.stride) ||
                               (!Reduce::any_order && y_.window > Reduce::short_window &&
                                reaches_out(y_)))),
          end_(in.data + reach(in.n, in.n_stride) + reach(in.depth, in.z_stride) +
               reach(in.height, in.y_stride) + reach(in.width, in.x_stride) +
               reach(in.channels, in.c_stride) + 1) {
        choose_sizes();
        const int64_t row = columns_ * (pixels_ ? block_ : 1) * int64_t{sizeof(T)};
        streams_ = Op::streams && Streamed::worthwhile(out) && (row >= 1 << 10 || !buffers_);
    }

    void run() const {
        const int64_t bands = ceil_div(y_.out, band_), pieces = ceil_div(x_.out, columns_);
        const int64_t blocks = ceil_div(in_.channels, block_);
        const int64_t tasks = in_.n * blocks * z_.out * bands * pieces;
        parallel_for(tasks, Scratch(*this, nullptr).bytes, [=, this](int64_t task, void* memory) {
            const Stretch columns(x_, task % pieces * columns_, columns_);
            task /= pieces;
            const Stretch rows(y_, task % bands * band_, band_);
            task /= bands;
            const int64_t z = task % z_.out, channel = task / z_.out % blocks * block_;
            Piece piece{task / z_.out / blocks, channel, min(block_, in_.channels - channel),
                        z, rows, columns, 1, round_up(columns.span(), x_.stride)};
            if (pixels_) piece.pitch = piece.channels;
            Scratch scratch(*this, memory);
            Streamed stream(scratch.stage);
            if (streams_) scratch.lines.stream = &stream;
            compute(piece, scratch);
            if (streams_) stream.finish();
        });
    }

  private:
    static constexpr int64_t line_bytes = 16 << 10;   // half of the innermost cache
    static constexpr int64_t long_line_bytes = 48 << 10;  // where rows are read once: from memory
    static constexpr int64_t band_bytes = 512 << 10;  // of reduced rows: in a core's own cache
    static constexpr int64_t strip_bytes = 224 << 10; // of rows that windows slide over
    static constexpr int64_t task_bytes = 128 << 10;  // of input
    static constexpr int64_t block_bytes = 1 << 10;   // of channels side by side

    static int64_t reach(int64_t count, int64_t stride) {
        return stride > 0 && count > 0 ? (count - 1) * stride : 0;
    }
    // Whether vertical windows share most of their rows.
    bool shares_rows() const {
        return !y_.bounds && y_.out > 1 && y_.window > Reduce::short_window &&
               y_.window > 4 * y_.stride;
    }
    static bool reaches_out(const Axis& axis) {
        return axis.pad_before > 0 || axis.first(axis.out - 1) + axis.extent() > axis.in;
    }
    // The smallest size that takes no more pieces than `most` does.
    static int64_t even_share(int64_t count, int64_t most) {
        return ceil_div(count, ceil_div(count, max(1, min(most, count))));
    }

    void choose_sizes() {
        const int64_t whole = x_.span(x_.bounds ? 1 : x_.out);
        const int64_t width = x_.bounds ? x_.in : whole;
        // As many channels as make a line worth its while. No more: memory is best read plane by
        // plane.
        if (!pixels_)
            block_ = min(in_.channels,
                         max(1, (x_.out == 1                        ? 2048
                                 : x_.window > Reduce::short_window ? 512
                                                                    : 512 / int64_t{sizeof(T)}) /
                                    width));
        else if (in_.channels * int64_t{sizeof(W)} <= 2 * block_bytes)
            block_ = in_.channels;
        else
            block_ = block_bytes / int64_t{sizeof(W)};
        constexpr auto bytes = int64_t{sizeof(W)};
        const int64_t most = buffers_ ? min(2 * line_bytes, band_bytes / (2 * y_.span(1)))
                             : rolls_ ? min(line_bytes, band_bytes / y_.window)
                                      : long_line_bytes;
        const int64_t numbers = max(256, most / bytes) / block_;
        // Neighbouring pieces both read what their windows share.
        const int64_t extent = x_.bounds ? x_.window : x_.extent();
        columns_ = max(max(pixels_ ? 4 : 4 * L, extent / x_.stride), (numbers - extent) / x_.stride);
        columns_ = even_share(x_.out, columns_);

        const int64_t row_numbers = round_up(block_ * longest_span(x_, columns_), L);
        if (buffers_)
            band_ = max(band_bytes / (row_numbers * bytes), 2 * y_.extent() / y_.stride);
        else
            band_ = task_bytes / (row_numbers * y_.stride * int64_t{sizeof(T)});
        // Every thread is to have something to do.
        const int64_t others = in_.n * ceil_div(in_.channels, block_) * z_.out * ceil_div(x_.out, columns_);
        const int64_t wanted = ceil_div(4 * get_num_threads(), max(1, others));
        const int64_t least =
            buffers_ || rolls_ ? y_.extent() / y_.stride : min(8, y_.window / y_.stride);
        band_ = even_share(y_.out, max(least, min(band_, y_.out / wanted)));
        // Bands of whole blocks compute nothing twice.
        if (rolls_ && band_ < y_.out)
            band_ = max(1, (band_ * y_.stride + y_.window / 2) / y_.window * y_.window / y_.stride);

        const int64_t strip = strip_bytes / bytes / longest_span(y_, band_) / L * L;
        strip_ = pixels_ ? max(1, strip / block_) : block_ > 1 ? INT64_MAX / 2 : max(L, strip);
    }

    struct Scratch {
        Row<T>* rows;
        Lines<W> lines;
        W *buffer, *reduced;  // the rows of a strip, and those of the band's outputs
        char* stage;          // of results on their way to memory
        size_t bytes;

        Scratch(const WindowedRows& p, void* memory) {
            const int64_t span = round_up(longest_span(p.x_, p.columns_), p.x_.stride);
            const int64_t numbers = round_up(max(2, p.block_ * span), L);
            const int64_t slack = 4 * L + p.x_.extent();
            const int64_t outputs = p.block_ * max(span / p.x_.stride, p.columns_) + 2 * L;
            Arena arena(memory);
            rows = arena.take<Row<T>>(max(p.y_.window, p.z_.window));
            lines.line = arena.take<W>(numbers + slack);
            lines.result = arena.take<W>(outputs);
            lines.spare = arena.take<W>(numbers + slack);
            lines.per_output = arena.take<W>(Op::needs_per_output ? outputs : 0);
            lines.per_input = arena.take<W>(Op::needs_per_input ? numbers + slack : 0);
            const int64_t strip = p.strip_ < span ? p.strip_ * p.block_ : numbers;
            buffer = arena.take<W>(p.rolls_     ? p.y_.window * numbers + slack
                                   : p.buffers_ ? longest_span(p.y_, p.band_) * max(2, strip) + slack
                                                : 0);
            reduced = arena.take<W>(p.rolls_     ? 2 * numbers + slack
                                    : p.buffers_ ? p.band_ * numbers + slack
                                                 : 0);
            stage = arena.take<char>(
                p.streams_ ? Streamed::stage_bytes + outputs * int64_t{sizeof(T)} : 0);
            bytes = arena.used();
        }
    };

    void compute(Piece& piece, const Scratch& scratch) const {
        const Lines<W>& lines = scratch.lines;
        const int64_t numbers = round_up(length(piece), L);
        op_.prepare(piece, lines);
        if (rolls_) {
            roll_rows(piece, numbers, scratch);
            return;
        }
        bool finite = buffers_ && slide_rows(piece, numbers, scratch);
        for (int64_t i = 0; i < piece.rows.count(); ++i) {
            if (buffers_) {
                // From the last row to the first: sliding over a row spoils the start of the next.
                piece.y = piece.rows.end - 1 - i;
                reduce_columns(piece, finite,
                               scratch.reduced + (piece.y - piece.rows.begin) * numbers, lines);
                continue;
            }
            piece.y = piece.rows.begin + i;
            const int64_t first = y_.first(piece.y), taps = y_.taps(piece.y);
            int64_t count = 0;
            for (int64_t k = 0; k < taps; ++k) {
                const int64_t y = first + k * y_.dilation;
                if (y >= 0 && y < in_.height)
                    scratch.rows[count++] = {source(piece, z_.first(piece.z), y),
                                             y - piece.rows.first};
            }
            finite = reduce_rows(piece, scratch.rows, count, lines, lines.line);
            reduce_columns(piece, finite, lines.line, lines);
        }
    }

    // Numbers of a line. At least two: vertical windows slide over lines as over pixels.
    int64_t length(const Piece& piece) const {
        return max(2, pixels_ ? piece.columns.span() * piece.pitch
                              : piece.channels * piece.line_stride);
    }

    const T* source(const Piece& piece, int64_t z, int64_t y) const {
        const int64_t x = max(0, piece.columns.first);
        return in_.image(piece.n) + z * in_.z_stride + y * in_.y_stride + x * in_.x_stride +
               piece.channel * in_.c_stride;
    }

    // ---------------------------------------------------------------- rows -> line

    // Reduces rows of the image, with margins. Writes up to two vectors behind the line. Returns
    // whether every number that was read is known to be finite.
    bool reduce_rows(const Piece& piece, const Row<T>* rows, int64_t count, const Lines<W>& lines,
                     W* line) const {
        const int64_t before = piece.columns.before(), behind = piece.columns.behind(in_.width);
        const int64_t inside = piece.columns.span() - before - behind;
        const T* last = rows[0].data;
        for (int64_t k = 1; k < count; ++k) last = rows[k].data > last ? rows[k].data : last;
        Vec<W> watch{};  // 0, or NaN as soon as one number is not finite
        fill(line, before * piece.pitch);
        if (!pixels_) {
            const int64_t margin = piece.line_stride - inside;
            int64_t c = 0;
            if (piece.channels > 1 && in_.x_stride == 1 && piece.line_stride <= L)
                c = reduce_small_planes(piece, rows, count, last, inside, before, lines, line, watch);
            for (; c < piece.channels; ++c) {
                const int64_t at = c * piece.line_stride + before;
                reduce_segment(rows, count, last, c * in_.c_stride, in_.x_stride, inside, at, lines,
                               line, watch);
                if (margin) fill(line + at + inside, margin);
            }
            return finite(watch);
        }
        const int64_t pitch = piece.pitch, at = before * pitch;
        if (in_.x_stride == pitch)
            reduce_segment(rows, count, last, 0, 1, inside * pitch, at, lines, line, watch);
        else
            for (int64_t x = 0; x < inside; ++x)
                reduce_segment(rows, count, last, x * in_.x_stride, 1, pitch, at + x * pitch, lines,
                               line, watch);
        fill(line + (before + inside) * pitch, behind * pitch);
        return finite(watch);
    }

    // Planes of which a vector holds a row: as many of them as may be read by vectors. What a vector
    // holds too many of is overwritten by the next plane.
    int64_t reduce_small_planes(const Piece& piece, const Row<T>* rows, int64_t count, const T* last,
                                int64_t inside, int64_t before, const Lines<W>& lines, W* line,
                                Vec<W>& watch) const {
        if (in_.c_stride <= 0 || end_ - last < L) return 0;
        const int64_t planes = min(piece.channels, (end_ - last - L) / in_.c_stride + 1);
        Vec<W> lane, seen{};
        for (int64_t i = 0; i < L; ++i) lane[i] = static_cast<W>(i);
        const auto beside = lane >= static_cast<W>(inside);
        for (int64_t c = 0; c < planes; ++c) {
            const int64_t at = before + c * piece.line_stride;
            const Vec<W> value = reduce_window<Reduce>(
                [&](int64_t k) ATTAR_INLINED {
                    return op_.read(rows[k].data + c * in_.c_stride, rows[k].id, at, lines);
                },
                count);
            if constexpr (watches) seen += value * 0;
            store(line + at, Vec<W>(beside ? broadcast(Reduce::neutral()) : value));
        }
        if constexpr (watches) watch += seen;
        return planes;
    }

    static bool finite(Vec<W> watch) {
        if constexpr (!watches) return false;
        bool all = true;
        for (int64_t i = 0; i < L; ++i) all &= watch[i] == watch[i];
        return all;
    }

    // `length` numbers, `step` apart, from `offset` numbers into each row on; they go to number
    // `at` of the line and those behind it. `last` is the row that begins last in memory.
    void reduce_segment(const Row<T>* rows, int64_t count, const T* last, int64_t offset,
                        int64_t step, int64_t length, int64_t at, const Lines<W>& lines,
                        W* line, Vec<W>& watch) const {
        const auto one = [&](int64_t i) {
            const W value = reduce_window<Reduce>(
                [&](int64_t k) {
                    return op_.read_one(rows[k].data + offset + i * step, rows[k].id, at + i, lines);
                },
                count);
            line[at + i] = value;
            if constexpr (watches) watch[0] += value * 0;
        };
        int64_t i = 0;
        if (step == 1) {
            // Reading on behind the end of a row is fine as long as the array goes on.
            const int64_t readable = end_ - (last + offset);
            const int64_t whole = readable >= round_up(length, L) ? length : length / L * L;
            const auto vectors = [&](const auto& at_tap, int64_t taps) {
                Vec<W> seen{};
                for (i = 0; i < whole; i += L) {
                    const Vec<W> value =
                        reduce_window<Reduce>([&](int64_t k) { return at_tap(k, i); }, taps);
                    store(line + at + i, value);
                    if constexpr (watches) seen += value * 0;
                }
                if constexpr (watches) watch += seen;
            };
            const auto read = [&](const Row<T>& row, int64_t j) {
                return op_.read(row.data + offset + j, row.id, at + j, lines);
            };
            // With few rows their addresses stay in registers.
            if (count == 1) {
                const Row<T> a = rows[0];
                vectors([&](int64_t, int64_t j) { return read(a, j); }, 1);
            } else if (count == 2) {
                const Row<T> a = rows[0], b = rows[1];
                vectors([&](int64_t k, int64_t j) { return read(k ? b : a, j); }, 2);
            } else if (count == 3) {
                const Row<T> a = rows[0], b = rows[1], c = rows[2];
                vectors([&](int64_t k, int64_t j) { return read(k == 0 ? a : k == 1 ? b : c, j); },
                        3);
            } else {
                vectors([&](int64_t k, int64_t j) { return read(rows[k], j); }, count);
            }
        }
        for (; i < length; ++i) one(i);
    }

    static void fill(W* to, int64_t count) {
        for (int64_t i = 0; i < count; i += L) store(to + i, broadcast(Reduce::neutral()));
    }

    // ---------------------------------------------------------------- rows of a band

    // A maximum over many rows, at three operations a number (van Herk 1992; Gil & Werman 1993). A
    // block has as many rows as a window. Every window that begins in it is the end of the block
    // from there on, and so many rows of what follows.
    void roll_rows(Piece& piece, int64_t numbers, const Scratch& scratch) const {
        const Lines<W>& lines = scratch.lines;
        const int64_t taps = y_.window;
        W *const suffixes = scratch.buffer, *const prefix = scratch.reduced;
        W* const row = prefix + numbers + L;
        const auto read = [&](int64_t y, W* to) {
            return read_row(piece, y, numbers, scratch.rows, lines, to);
        };
        piece.y = piece.rows.begin;
        while (piece.y < piece.rows.end) {
            const int64_t first = y_.first(piece.y);
            bool finite = watches;
            finite &= read(first + taps - 1, suffixes + (taps - 1) * numbers);
            for (int64_t j = taps - 2; j >= 0; --j) {
                finite &= read(first + j, row);
                combine_lines(row, suffixes + (j + 1) * numbers, numbers, suffixes + j * numbers);
            }
            int64_t next = first + taps;  // the row that the prefix takes next
            for (; piece.y < piece.rows.end && y_.first(piece.y) < first + taps; ++piece.y) {
                const int64_t start = y_.first(piece.y);
                for (; next < start + taps; ++next) {
                    W* const to = next == first + taps ? prefix : row;
                    finite &= read(next, to);
                    if (to == row) combine_lines(row, prefix, numbers, prefix);
                }
                // The first window is the whole block, and needs no prefix.
                const W* const suffix = suffixes + (start - first) * numbers;
                combine_lines(suffix, start == first ? suffix : prefix, numbers, lines.line);
                reduce_columns(piece, finite, lines.line, lines);
            }
        }
    }

    // One row, reduced over the planes. Returns whether all numbers are known to be finite.
    bool read_row(const Piece& piece, int64_t y, int64_t numbers, Row<T>* rows,
                  const Lines<W>& lines, W* line) const {
        const int64_t first = z_.first(piece.z), taps = z_.taps(piece.z);
        int64_t count = 0;
        for (int64_t k = 0; k < taps && y >= 0 && y < in_.height; ++k) {
            const int64_t z = first + k * z_.dilation;
            if (z < 0 || z >= in_.depth) continue;
            const int64_t id = k * piece.rows.span() + y - piece.rows.first;
            rows[count++] = {source(piece, z, y), id};
        }
        if (count) return reduce_rows(piece, rows, count, lines, line);
        fill(line, numbers);
        return watches;
    }

    static void combine_lines(const W* a, const W* b, int64_t numbers, W* to) {
        for (int64_t i = 0; i < numbers; i += L)
            store(to + i, Vec<W>(Reduce::combine(load(a + i), load(b + i))));
    }

    // The rows of the band's outputs, one line after the other, a strip of columns at a time: what
    // a strip needs stays in the innermost cache. Returns whether all numbers are known to be finite.
    bool slide_rows(const Piece& piece, int64_t numbers, const Scratch& scratch) const {
        bool finite = watches;
        const Stretch& all = piece.columns;
        for (int64_t first = all.first; first < all.last; first += strip_) {
            Piece strip = piece;
            strip.columns.first = first;
            strip.columns.last = min(all.last, first + strip_);
            if (!pixels_ && piece.channels == 1) strip.line_stride = strip.columns.span();
            const int64_t pitch = length(strip);
            Lines<W> lines = scratch.lines;
            lines.per_input += (first - all.first) * piece.pitch;
            const bool strip_finite = fill_buffer(strip, pitch, scratch, lines);
            W* to = scratch.reduced + (first - all.first) * piece.pitch;
            if (strip_finite)
                slide_strip<Quick>(strip, pitch, numbers, to, scratch);
            else
                slide_strip<Reduce>(strip, pitch, numbers, to, scratch);
            finite &= strip_finite;
        }
        return finite;
    }

    // Every row that the band's windows span, reduced over the planes: lines of the strip. Returns
    // whether all numbers are known to be finite.
    bool fill_buffer(const Piece& piece, int64_t numbers, const Scratch& scratch,
                     const Lines<W>& lines) const {
        W* line = scratch.buffer;
        bool finite = watches;
        for (int64_t y = piece.rows.first; y < piece.rows.last; ++y, line += numbers)
            finite &= read_row(piece, y, numbers, scratch.rows, lines, line);
        return finite;
    }

    template <class R>
    void slide_strip(const Piece& strip, int64_t pitch, int64_t numbers, W* to,
                     const Scratch& scratch) const {
        if (!y_.bounds) {
            slide_windows<R>(scratch.buffer,
                             Slide{y_.window, y_.stride, y_.dilation, pitch, numbers},
                             strip.rows.count(), to, scratch.lines.spare);
            return;
        }
        for (int64_t y = strip.rows.begin; y < strip.rows.end; ++y, to += numbers) {
            const W* from = scratch.buffer + (y_.first(y) - strip.rows.first) * pitch;
            for (int64_t i = 0; i < pitch; i += L)
                store_first(to + i,
                            Vec<W>(reduce_window<R>(
                                [&](int64_t k) { return load(from + k * pitch + i); },
                                y_.taps(y))),
                            min(L, pitch - i));
        }
    }

    // ---------------------------------------------------------------- line -> outputs

    void reduce_columns(const Piece& piece, bool finite, W* line, const Lines<W>& lines) const {
        const int64_t count = piece.columns.count(), pitch = piece.pitch;
        const int64_t to = piece.n * out_.n_stride + piece.z * out_.z_stride +
                           piece.y * out_.y_stride + piece.columns.begin * out_.x_stride +
                           piece.channel * out_.c_stride;
        const bool together = pixels_ ? out_.c_stride == 1 && (out_.x_stride == pitch || count == 1)
                                      : out_.x_stride == 1 && piece.channels == 1;
        const int64_t numbers = pixels_ ? count * pitch : count;
        T* target = out_.data + to;
        if (together && lines.stream)
            target = lines.stream->room(target, numbers * int64_t{sizeof(T)});
        W* result = lines.result;
        if constexpr (Op::writes_results)
            if (together) result = reinterpret_cast<W*>(target);
        if (finite)
            reduce_windows<Quick>(piece, line, result, lines);
        else
            reduce_windows<Reduce>(piece, line, result, lines);
        if constexpr (Op::writes_results)
            if (together) return;
        if (together) {
            op_.emit(Run<W>{result, numbers, to, 1, 0}, target, piece, lines);
        } else if (pixels_) {
            for (int64_t x = 0; x < count; ++x)
                op_.emit(Run<W>{result + x * pitch, pitch, to + x * out_.x_stride, out_.c_stride,
                                x * pitch},
                         target + x * out_.x_stride, piece, lines);
        } else if (x_.out == 1) {
            op_.emit(Run<W>{result, piece.channels, to, out_.c_stride, 0}, target, piece, lines);
        } else {
            for (int64_t c = 0; c < piece.channels; ++c)
                op_.emit(Run<W>{result + c * result_stride(piece), count, to + c * out_.c_stride,
                                out_.x_stride, 0},
                         target + c * out_.c_stride, piece, lines);
        }
    }

    // Results of a channel of a planar line, from its first to the first of the next channel.
    int64_t result_stride(const Piece& piece) const {
        return x_.out == 1 || x_.bounds ? piece.columns.count() : piece.line_stride / x_.stride;
    }

    template <class R>
    void reduce_windows(const Piece& piece, W* line, W* to, const Lines<W>& lines) const {
        const int64_t count = piece.columns.count();
        if (x_.bounds)
            reduce_bins(piece, line, to);
        else if (pixels_)
            slide_windows<R>(line,
                             Slide{x_.window, x_.stride, x_.dilation, piece.pitch, piece.pitch},
                             count, to, lines.spare);
        else if (x_.out == 1)  // a window for each channel
            slide_windows<R>(line, Slide{x_.window, piece.line_stride, x_.dilation, 1, 1},
                             piece.channels, to, lines.spare);
        else
            slide_windows<R>(line, Slide{x_.window, x_.stride, x_.dilation, 1, 1},
                             (piece.channels - 1) * result_stride(piece) + count, to, lines.spare);
    }

    // Windows of any place and size.
    void reduce_bins(const Piece& piece, const W* line, W* to) const {
        const int64_t count = piece.columns.count(), pitch = piece.pitch;
        for (int64_t o = 0; o < count; ++o) {
            const int64_t x = piece.columns.begin + o, taps = x_.taps(x);
            const W* from = line + (x_.first(x) - piece.columns.first) * pitch;
            if (!pixels_) {
                for (int64_t c = 0; c < piece.channels; ++c, from += piece.line_stride)
                    if constexpr (Reduce::any_order)
                        to[c * count + o] = reduce_run<Reduce>(from, taps);
                    else
                        to[c * count + o] =
                            reduce_window<Reduce>([&](int64_t k) { return from[k]; }, taps);
                continue;
            }
            for (int64_t c = 0; c < pitch; c += L) {
                const Vec<W> value = reduce_window<Reduce>(
                    [&](int64_t k) { return load(from + k * pitch + c); }, taps);
                store_first(to + o * pitch + c, value, min(L, pitch - c));
            }
        }
    }

    const Images<const T>& in_;
    const Images<T>& out_;
    const Op& op_;
    const Axis z_, y_, x_;  // trimmed
    const bool pixels_;     // whether a line holds pixels, not rows of single channels
    const bool rolls_;      // whether rows are shared by prefixes and suffixes
    const bool buffers_;    // whether rows are put together before windows slide over them
    const T* const end_;    // behind the last number of the input
    int64_t block_;         // channels that a task takes together
    int64_t columns_, band_;  // outputs of a piece
    bool streams_;            // whether results pass the caches
    int64_t strip_;         // inputs along x that are buffered together
};

}  // namespace attar::ATTAR_ISA
