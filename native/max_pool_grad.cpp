// The gradient of a maximum: what flows into a window flows to its winner.
#include "pool_grad.h"

namespace attar::ATTAR_ISA {
namespace {

// Of larger windows the taps are not listed.
constexpr int64_t most_listed_taps = 4096;

// Unsigned numbers as wide as those that are computed with, for offsets of winners.
template <class W>
struct OffsetOf;
template <>
struct OffsetOf<float> {
    using type = uint32_t;
};
template <>
struct OffsetOf<double> {
    using type = uint64_t;
};

template <class T, class U>
class MaxPoolGrad {
    using W = Wide<T>;
    using Offset = typename OffsetOf<W>::type;
    static constexpr int64_t L = lanes<W>;

    // Where few windows see a cell, every cell asks each of them whether it has won: comparisons
    // of whole vectors, and each number is written once. Elsewhere outputs are taken to their
    // winners one after the other. A vector of questions takes 3 to 4 cycles, an output 6 to 8.
    static constexpr int64_t most_questions = 4 + L * 3 / 2;
    // The beginning of a row of questions takes as long as some 8 outputs.
    static constexpr int64_t least_outputs = 8;

  public:
    MaxPoolGrad(const Images<const T>& grad, const Images<const U>& winners, const Images<T>& out,
                const Pool& pool)
        : grad_(grad), winners_(winners), out_(out), pool_(pool),
          z_watchers_(most_watchers(pool.z)), y_watchers_(most_watchers(pool.y)) {}

    void run() const {
        const bool interleaved = grad_.c_stride == 1 && winners_.c_stride == 1 &&
                                 out_.c_stride == 1 && out_.channels >= L;
        const int64_t rows = z_watchers_ * y_watchers_;
        if (interleaved && rows * most_watchers(pool_.x) <= most_questions)
            ask_interleaved();
        else if (!pool_.x.bounds && pool_.x.stride <= 2 &&
                 pool_.x.out >= least_outputs * pool_.x.stride &&
                 rows * pool_.x.window <= most_questions)
            pool_.x.stride == 1 ? ask_planar<1>() : ask_planar<2>();
        else
            scatter();
    }

  private:
    // The rows of outputs that see a row of cells, in order: run(oz, oy, offset of the first tap).
    template <class Run>
    ATTAR_INLINE void for_rows(int64_t z, const Watchers& planes, int64_t y, const Watchers& rows,
                               const Run& run) const {
        for (int64_t oz = planes.begin; oz < planes.end; ++oz) {
            const int64_t kz = tap_on(pool_.z, oz, z);
            if (kz < 0) continue;
            for (int64_t oy = rows.begin; oy < rows.end; ++oy) {
                const int64_t ky = tap_on(pool_.y, oy, y);
                if (ky >= 0) run(oz, oy, (kz * pool_.y.window + ky) * pool_.x.window);
            }
        }
    }

    // ------------------------------------------------------------------ lanes hold channels

    // A window that sees a cell, and the offset by which it names it.
    struct Question {
        const T* grad;
        const U* winners;
        Offset offset;
    };

    void ask_interleaved() const {
        const int64_t pixel_bytes = out_.channels * int64_t{sizeof(W)};
        const int64_t columns = min(out_.width, block_columns);
        const Blocks blocks(out_, 1, block_bytes / (columns * pixel_bytes), columns, out_.channels);
        parallel_for(blocks.count(), 0, [&](int64_t task, void*) {
            const Block block = blocks[task];
            const Watchers planes(pool_.z, block.z.begin);
            Watchers rows(pool_.y, block.y.begin);
            for (int64_t y = block.y.begin; y < block.y.end; ++y) {
                rows.advance(y);
                interleaved_row(block, planes, y, rows);
            }
        });
    }

    void interleaved_row(const Block& block, const Watchers& planes, int64_t y,
                         const Watchers& lines) const {
        Question rows[most_questions], questions[most_questions];
        const int64_t z = block.z.begin;
        int64_t row_count = 0;
        for_rows(z, planes, y, lines, [&](int64_t oz, int64_t oy, int64_t offset) {
            rows[row_count++] = {grad_.image(block.n) + oz * grad_.z_stride + oy * grad_.y_stride,
                                 winners_.image(block.n) + oz * winners_.z_stride +
                                     oy * winners_.y_stride,
                                 static_cast<Offset>(offset)};
        });
        T* to = out_.image(block.n) + z * out_.z_stride + y * out_.y_stride;
        Watchers watchers(pool_.x, block.x.begin);
        for (int64_t x = block.x.begin; x < block.x.end; ++x) {
            watchers.advance(x);
            int64_t count = 0;
            for (int64_t row = 0; row < row_count; ++row)
                for (int64_t o = watchers.begin; o < watchers.end; ++o) {
                    const int64_t tap = tap_on(pool_.x, o, x);
                    if (tap >= 0)
                        questions[count++] = {rows[row].grad + o * grad_.x_stride,
                                              rows[row].winners + o * winners_.x_stride,
                                              rows[row].offset + static_cast<Offset>(tap)};
                }
            interleaved_cell(questions, count, to + x * out_.x_stride);
        }
    }

    // All channels of a cell; the last vector overlaps the one before it.
    void interleaved_cell(const Question* questions, int64_t count, T* to) const {
        int64_t c = 0;
        for (; c + 4 * L <= out_.channels; c += 4 * L) add_answers<4>(questions, count, c, to);
        for (; c < out_.channels; c += L)
            add_answers<1>(questions, count, min(c, out_.channels - L), to);
    }

    template <int vectors>
    ATTAR_INLINE static void add_answers(const Question* questions, int64_t count, int64_t c,
                                         T* to) {
        Vec<W> sums[vectors] = {};
        for (int64_t i = 0; i < count; ++i) {
            const Vec<Offset> offset = broadcast<Offset>(questions[i].offset);
            for (int v = 0; v < vectors; ++v)
                sums[v] += load_as<Offset>(questions[i].winners + c + v * L) == offset
                               ? load_as<W>(questions[i].grad + c + v * L)
                               : Vec<W>{};
        }
        for (int v = 0; v < vectors; ++v) store_as<W>(to + c + v * L, sums[v]);
    }

    // ------------------------------------------------------------------ lanes hold columns

    // Rows of outputs, read once for all rows of cells that they see: a ring for each of the planes
    // in reach. In a row, step 0 stands at `origin`, which is aligned, and the margin before it.
    struct Ring {
        W *grad, *line;
        Offset* offsets;
        int64_t rows, origin, length, size;
        size_t bytes;

        Ring(const MaxPoolGrad& p, const Blocks& blocks, void* memory) {
            const Axis& x = p.pool_.x;
            rows = 1;
            while (rows < p.y_watchers_) rows *= 2;
            origin = round_up((x.window - 1) * x.dilation / x.stride, L);
            length = origin + round_up(Steps::windows_length(x, blocks.columns()), L) + L;
            size = p.z_watchers_ * rows * length;
            Arena arena(memory);
            grad = arena.take<W>(size);
            offsets = arena.take<Offset>(size);
            line = arena.take<W>(2 * length);
            bytes = arena.used();
        }

        // Where step 0 stands in row oy of a plane.
        int64_t at(int64_t plane, int64_t oy) const {
            return (plane * rows + (oy & (rows - 1))) * length + origin;
        }
    };

    template <int stride>
    void ask_planar() const {
        const Blocks blocks = planar_blocks(out_, pool_, sizeof(W));
        parallel_for(blocks.count(), Ring(*this, blocks, nullptr).bytes,
                     [&](int64_t task, void* memory) {
                         const Ring ring(*this, blocks, memory);
                         const Block block = blocks[task];
                         for (int64_t i = 0; i < ring.size; ++i)
                             ring.grad[i] = 0, ring.offsets[i] = ~Offset{0};
                         for (int64_t c = block.channels.begin; c < block.channels.end; ++c)
                             planar_block<stride>(block, c, ring);
                     });
    }

    template <int stride>
    void planar_block(const Block& block, int64_t c, const Ring& ring) const {
        const int64_t z = block.z.begin;
        const Steps steps(pool_.x, block.x);
        const Cells windows = watchers_of(pool_.x, block.x);
        const int64_t skipped = steps.skipped(pool_.x, block.x);
        T* to = out_.image(block.n) + z * out_.z_stride + block.x.begin * out_.x_stride +
                c * out_.c_stride;
        const Watchers planes(pool_.z, z);
        Watchers rows(pool_.y, block.y.begin);
        int64_t read_until = 0;
        for (int64_t y = block.y.begin; y < block.y.end; ++y) {
            rows.advance(y);
            for (int64_t oy = max(read_until, rows.begin); oy < rows.end; ++oy)
                for (int64_t oz = planes.begin; oz < planes.end; ++oz) {
                    const int64_t at =
                        ring.at(oz - planes.begin, oy) + windows.begin - steps.begin;
                    read_row(grad_.image(block.n) + oz * grad_.z_stride + oy * grad_.y_stride +
                                 windows.begin * grad_.x_stride + c * grad_.c_stride,
                             grad_.x_stride, windows.size(), ring.grad + at);
                    read_offsets(winners_.image(block.n) + oz * winners_.z_stride +
                                     oy * winners_.y_stride + windows.begin * winners_.x_stride +
                                     c * winners_.c_stride,
                                 windows.size(), ring.offsets + at);
                }
            read_until = rows.end;

            PlanarRow watching[most_questions];
            int64_t count = 0;
            for_rows(z, planes, y, rows, [&](int64_t oz, int64_t oy, int64_t offset) {
                const int64_t at = ring.at(oz - planes.begin, oy);
                PlanarRow& row = watching[count++];
                row.grad = ring.grad + at;
                row.winners = ring.offsets + at;
                for (int64_t tap = 0; tap < 3; ++tap)
                    row.offset_of_tap[tap] = static_cast<Offset>(offset + tap);
            });
            switch (pool_.x.dilation == 1 ? pool_.x.window : 0) {
                case 2: planar_row<stride, 2>(watching, count, steps.count, ring.line); break;
                case 3: planar_row<stride, 3>(watching, count, steps.count, ring.line); break;
                default: planar_row<stride, 0>(watching, count, steps.count, ring.line);
            }
            write_row(ring.line + skipped, block.x.size(), to + y * out_.y_stride, out_.x_stride);
        }
    }

    void read_offsets(const U* from, int64_t count, Offset* to) const {
        if (winners_.x_stride == 1 && count >= L) {
            for (int64_t i = 0; i + L < count; i += L)
                store(to + i, load_as<Offset>(from + i));
            store(to + count - L, load_as<Offset>(from + count - L));
        } else {
            for (int64_t i = 0; i < count; ++i) to[i] = from[i * winners_.x_stride];
        }
    }

    // A row of outputs that sees a row of cells, from step 0 on.
    struct PlanarRow {
        const W* grad;
        const Offset* winners;
        Offset offset_of_tap[3];  // of the first; in memory, where a broadcast is but a load
    };

    // A row of cells from rows of outputs that see it. known_window: 0, or the window along the row
    // where it is known and not dilated.
    template <int stride, int known_window>
    void planar_row(const PlanarRow* rows, int64_t count, int64_t steps, W* line) const {
        for (int64_t j = 0; j < steps; j += L) {
            Vec<W> phases[2] = {};
            for (const PlanarRow* row = rows; row != rows + count; ++row) {
                const auto ask = [&](Offset offset, int64_t phase, Vec<Offset> winners,
                                     Vec<W> grad) {
                    phases[phase] += winners == broadcast<Offset>(offset) ? grad : Vec<W>{};
                };
                const auto ask_known = [&](auto known) {
                    constexpr int64_t tap = known(), shift = tap / stride;
                    ask(row->offset_of_tap[tap], tap % stride, load_before<shift>(row->winners + j),
                        load_before<shift>(row->grad + j));
                };
                if constexpr (known_window >= 3) ask_known(Constant<2>{});
                if constexpr (known_window >= 2) {
                    ask_known(Constant<1>{});
                    ask_known(Constant<0>{});
                } else {
                    for (int64_t tap = pool_.x.window - 1; tap >= 0; --tap) {
                        const int64_t distance = tap * pool_.x.dilation;
                        const int64_t at = j - distance / stride;
                        ask(row->offset_of_tap[0] + static_cast<Offset>(tap), distance % stride,
                            load(row->winners + at), load(row->grad + at));
                    }
                }
            }
            if constexpr (stride == 1) {
                store(line + j, phases[0]);
            } else {
                store(line + 2 * j, first_by_turns<W>(phases[0], phases[1]));
                store(line + 2 * j + L, second_by_turns<W>(phases[0], phases[1]));
            }
        }
    }

    // The lanes from `shift` before `from` on, where `from` is aligned. A vector of 64 bytes that
    // is not aligned lies on two lines of the cache; whole lines can be shared by the taps.
    template <int64_t shift, class V>
    ATTAR_INLINE static Vec<V> load_before(const V* from) {
#if defined(__AVX512F__)
        if constexpr (shift != 0 && sizeof(V) == 4)
            return (Vec<V>)_mm512_alignr_epi32((__m512i)load(from), (__m512i)load(from - L),
                                               int(L - shift));
        else if constexpr (shift != 0)
            return (Vec<V>)_mm512_alignr_epi64((__m512i)load(from), (__m512i)load(from - L),
                                               int(L - shift));
#endif
        return load(from - shift);
    }

    // ------------------------------------------------------------------ output by output

    // A tap, and how many cells it lies behind the first in a block.
    struct Tap {
        int64_t distance, z, y, x;
    };

    void scatter() const {
        const int64_t group = out_.c_stride == 1 ? min(out_.channels, 64) : 1;
        const Blocks blocks = scatter_blocks(group);
        const int64_t sums = blocks.planes() * blocks.rows() * blocks.columns() * group;
        const double window =
            double(pool_.z.window) * double(pool_.y.window) * double(pool_.x.window);
        const int64_t taps = window <= most_listed_taps ? int64_t(window) : 0;
        Buffer<Tap> list(max(1, taps));
        for (int64_t offset = 0; offset < taps; ++offset) list.data()[offset] = tap(offset, blocks);
        parallel_for(
            blocks.count(), static_cast<size_t>(sums) * sizeof(W), [&](int64_t task, void* memory) {
                Block block = blocks[task];
                const Cells channels = block.channels;
                for (int64_t c = channels.begin; c < channels.end; c += group) {
                    block.channels = {c, min(channels.end, c + group)};
                    scatter_block(block, blocks, list.data(), taps, static_cast<W*>(memory));
                }
            });
    }

    Tap tap(int64_t offset, const Blocks& blocks) const {
        const int64_t line = offset / pool_.x.window;
        Tap tap{0, line / pool_.y.window, line % pool_.y.window, offset % pool_.x.window};
        tap.z *= pool_.z.dilation, tap.y *= pool_.y.dilation, tap.x *= pool_.x.dilation;
        tap.distance = (tap.z * blocks.rows() + tap.y) * blocks.columns() + tap.x;
        return tap;
    }

    // An output is read for every block that its window reaches. Blocks that are twice as long as
    // a window read most of them once.
    Blocks scatter_blocks(int64_t group) const {
        const auto at_least = [](int64_t wanted, const Axis& axis) {
            return min(axis.in, max(wanted, 2 * min(axis.in, axis.extent())));
        };
        const int64_t pixel_bytes = group * int64_t{sizeof(W)};
        const int64_t columns = at_least(block_columns, pool_.x);
        const int64_t rows = at_least(block_bytes / (columns * pixel_bytes), pool_.y);
        const int64_t wanted = max(1, block_bytes / (columns * rows * pixel_bytes));
        const int64_t planes = rows < out_.height ? 1 : at_least(wanted, pool_.z);
        return {out_, planes, rows, columns, group * max(1, wanted / planes)};
    }

    void scatter_block(const Block& block, const Blocks& blocks, const Tap* list, int64_t taps,
                       W* sums) const {
        const Axis &z_axis = pool_.z, &y_axis = pool_.y, &x_axis = pool_.x;
        const int64_t channels = block.channels.size();
        const int64_t columns = blocks.columns(), rows = blocks.rows();
        const int64_t plane = rows * columns * channels;
        for (int64_t z = 0; z < block.z.size(); ++z)
            for (int64_t i = 0; i < block.y.size() * columns * channels; ++i)
                sums[z * plane + i] = 0;

        const Cells planes = watchers_of(z_axis, block.z), lines = watchers_of(y_axis, block.y);
        const Cells windows = watchers_of(x_axis, block.x);
        // Windows of any place are looked at one by one.
        Cells inside = x_axis.bounds || !taps ? Cells{windows.end, windows.end} : windows;
        while (inside.size() && !lies_inside(x_axis, inside.begin, block.x)) ++inside.begin;
        while (inside.size() && !lies_inside(x_axis, inside.end - 1, block.x)) --inside.end;
        for (int64_t oz = planes.begin; oz < planes.end; ++oz)
            for (int64_t oy = lines.begin; oy < lines.end; ++oy) {
                const bool rows_inside =
                    lies_inside(z_axis, oz, block.z) && lies_inside(y_axis, oy, block.y);
                const Cells free = rows_inside ? inside : Cells{windows.end, windows.end};
                const int64_t z_first = z_axis.first(oz) - block.z.begin;
                const int64_t y_first = y_axis.first(oy) - block.y.begin;
                const int64_t line = (z_first * rows + y_first) * columns - block.x.begin;
                const T* grad = grad_.image(block.n) + oz * grad_.z_stride + oy * grad_.y_stride +
                                block.channels.begin * grad_.c_stride;
                const U* winners = winners_.image(block.n) + oz * winners_.z_stride +
                                   oy * winners_.y_stride +
                                   block.channels.begin * winners_.c_stride;
                const auto scatter_one = [&](int64_t ox) {
                    W* to = sums + (line + x_axis.first(ox)) * channels;
                    for (int64_t c = 0; c < channels; ++c) {
                        const auto offset = static_cast<int64_t>(
                            winners[ox * winners_.x_stride + c * winners_.c_stride]);
                        if (taps && offset >= taps) continue;
                        const Tap at = taps ? list[offset] : tap(offset, blocks);
                        // A winner is what the caller says it is: it may lie anywhere.
                        if (sees(z_axis, oz, at.z, block.z) && sees(y_axis, oy, at.y, block.y) &&
                            sees(x_axis, ox, at.x, block.x))
                            to[at.distance * channels + c] +=
                                widen(grad[ox * grad_.x_stride + c * grad_.c_stride]);
                    }
                };
                for (int64_t ox = windows.begin; ox < free.begin; ++ox) scatter_one(ox);
                if (free.size()) {  // else it may begin behind the last window
                    W* to = sums + (line + x_axis.first(free.begin)) * channels;
                    const T* from = grad + free.begin * grad_.x_stride;
                    const U* won = winners + free.begin * winners_.x_stride;
                    if (channels == 1)
                        scatter_freely(from, grad_.x_stride, won, winners_.x_stride, free.size(),
                                       list, taps, to, x_axis.stride, 1);
                    else
                        for (int64_t ox = free.begin; ox < free.end; ++ox) {
                            scatter_freely(from, grad_.c_stride, won, winners_.c_stride, channels,
                                           list, taps, to, 1, channels);
                            from += grad_.x_stride, won += winners_.x_stride;
                            to += x_axis.stride * channels;
                        }
                }
                for (int64_t ox = free.end; ox < windows.end; ++ox) scatter_one(ox);
            }

        T* to = out_.image(block.n) + block.z.begin * out_.z_stride +
                block.y.begin * out_.y_stride + block.x.begin * out_.x_stride +
                block.channels.begin * out_.c_stride;
        const bool dense = channels == 1 && out_.x_stride == 1 && out_.y_stride == columns;
        for (int64_t z = 0; z < block.z.size(); ++z, sums += plane, to += out_.z_stride) {
            if (dense) {
                write_row(sums, block.y.size() * columns, to, 1);
                continue;
            }
            for (int64_t y = 0; y < block.y.size(); ++y) {
                const W* from = sums + y * columns * channels;
                T* row = to + y * out_.y_stride;
                if (channels == 1)
                    write_row(from, block.x.size(), row, out_.x_stride);
                else
                    for (int64_t x = 0; x < block.x.size(); ++x)
                        write_row(from + x * channels, channels, row + x * out_.x_stride,
                                  out_.c_stride);
            }
        }
    }

    // Windows that lie in the block with all their taps: no winner among these leaves it.
    ATTAR_INLINE static void scatter_freely(const T* grad, int64_t grad_stride, const U* winners,
                                            int64_t winners_stride, int64_t count, const Tap* list,
                                            int64_t taps, W* to, int64_t to_stride, int64_t scale) {
        for (int64_t i = 0; i < count; ++i) {
            const auto offset = static_cast<int64_t>(winners[i * winners_stride]);
            if (offset < taps)
                to[i * to_stride + list[offset].distance * scale] += widen(grad[i * grad_stride]);
        }
    }

    // Whether all of the largest window's taps are cells of the block, and window o has them all.
    ATTAR_INLINE static bool lies_inside(const Axis& axis, int64_t o, const Cells& cells) {
        return axis.taps(o) == axis.window && axis.first(o) >= cells.begin &&
               axis.first(o) + axis.extent() <= cells.end;
    }

    // Whether window o has a tap this far behind its first, and in these cells.
    ATTAR_INLINE static bool sees(const Axis& axis, int64_t o, int64_t distance,
                                  const Cells& cells) {
        return distance < axis.taps(o) * axis.dilation && cells.holds(axis.first(o) + distance);
    }

    const Images<const T>& grad_;
    const Images<const U>& winners_;
    const Images<T>& out_;
    const Pool& pool_;
    int64_t z_watchers_, y_watchers_;
};

}  // namespace

void max_pool_grad(Number number, const AnyInput& grad, const AnyInput& winners, int winner_bytes,
                   const AnyOutput& out, const Pool& pool) {
    with_float_type(number, [&](auto zero) {
        using T = decltype(zero);
        const auto run = [&](auto unsigned_zero) {
            using U = decltype(unsigned_zero);
            const auto from = grad.as<const T>();
            const auto won = winners.as<const U>();
            auto to = out.as<T>();
            Pool folded = pool;
            fold(to, folded);
            MaxPoolGrad<T, U>(from, won, to, folded).run();
        };
        if (winner_bytes == 1)
            run(uint8_t{});
        else if (winner_bytes == 2)
            run(uint16_t{});
        else
            run(uint32_t{});
    });
}

}  // namespace attar::ATTAR_ISA
