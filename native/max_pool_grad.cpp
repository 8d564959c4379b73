// The gradient of a maximum: what flows into a window flows to its winner.
#include "pool_grad.h"

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace attar::ATTAR_ISA {
namespace {

// Where few windows see a cell, every cell asks each of them whether it has won: comparisons of
// whole vectors, and each number is written once. Up to so many questions that is faster than
// taking one output after the other to its winner.
constexpr int64_t most_questions = 36;

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

#if defined(__AVX512F__)
ATTAR_INLINE Vec<uint32_t> widened(Part<uint8_t, uint32_t> v) {
    return (Vec<uint32_t>)_mm512_cvtepu8_epi32((__m128i)v);
}
#elif defined(__AVX2__)
ATTAR_INLINE Vec<uint32_t> widened(Part<uint8_t, uint32_t> v) {
    return (Vec<uint32_t>)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)v));
}
#elif defined(__SSE4_1__)
ATTAR_INLINE Vec<uint32_t> widened(Part<uint8_t, uint32_t> v) {
    return (Vec<uint32_t>)_mm_cvtepu8_epi32(_mm_cvtsi32_si128((int32_t)v));
}
#endif
// A vector of offsets, from numbers that may be narrower.
template <class Offset, class U>
ATTAR_INLINE Vec<Offset> load_offsets(const U* from) {
    const Part<U, Offset> part = load_part<U, Offset>(from);
#if defined(__SSE4_1__)
    // By name: compilers convert vectors whose sizes differ fourfold number by number.
    if constexpr (sizeof(Offset) == 4 && sizeof(U) == 1) return widened(part);
#endif
    return __builtin_convertvector(part, Vec<Offset>);
}

template <class T, class U>
class MaxPoolGrad {
    using W = Wide<T>;
    using Offset = typename OffsetOf<W>::type;
    static constexpr int64_t L = lanes<W>;

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
        else if (!pool_.x.bounds && pool_.x.stride <= 2 && rows * pool_.x.window <= most_questions)
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
                sums[v] += load_offsets<Offset>(questions[i].winners + c + v * L) == offset
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
            for (int64_t i = 0; i + L < count; i += L) store(to + i, load_offsets<Offset>(from + i));
            store(to + count - L, load_offsets<Offset>(from + count - L));
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
                const auto ask = [&](Offset offset, int64_t phase, Vec<Offset> winners, Vec<W> grad) {
                    phases[phase] += winners == broadcast<Offset>(offset) ? grad : Vec<W>{};
                };
                const auto ask_known = [&](auto known) {
                    constexpr int64_t tap = decltype(known)::value, shift = tap / stride;
                    ask(row->offset_of_tap[tap], tap % stride, load_before<shift>(row->winners + j),
                        load_before<shift>(row->grad + j));
                };
                if constexpr (known_window >= 3) ask_known(Known<2>{});
                if constexpr (known_window >= 2) {
                    ask_known(Known<1>{});
                    ask_known(Known<0>{});
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

    template <int64_t v>
    struct Known {
        static constexpr int64_t value = v;
    };

    // The lanes from `shift` before `from` on, where `from` is aligned. A vector of 64 bytes that is
    // not aligned lies on two lines of the cache; whole lines can be shared by the taps.
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

    void scatter() const {
        const int64_t group = out_.c_stride == 1 ? min(out_.channels, 64) : 1;
        const Blocks blocks = scatter_blocks(group);
        const int64_t sums =
            blocks.planes() * blocks.rows() * blocks.columns() * min(group, blocks.channels());
        parallel_for(blocks.count(), static_cast<size_t>(sums) * sizeof(W),
                     [&](int64_t task, void* memory) {
                         Block block = blocks[task];
                         const Cells channels = block.channels;
                         for (int64_t c = channels.begin; c < channels.end; c += group) {
                             block.channels = {c, min(channels.end, c + group)};
                             scatter_block(block, static_cast<W*>(memory));
                         }
                     });
    }

    // An output is read for every block that its window reaches. Blocks that are twice as long as
    // a window read most of them once.
    Blocks scatter_blocks(int64_t group) const {
        const auto at_least = [](int64_t wanted, const Axis& axis) {
            return min(axis.in, max(wanted, 2 * min(axis.in, axis.extent())));
        };
        const int64_t columns = at_least(block_columns, pool_.x);
        const int64_t rows = at_least(block_bytes / (columns * group * int64_t{sizeof(W)}), pool_.y);
        const int64_t wanted = block_bytes / (columns * rows * group * int64_t{sizeof(W)});
        const int64_t planes = rows < out_.height ? 1 : at_least(wanted, pool_.z);
        return {out_, planes, rows, columns, group * max(1, wanted / planes)};
    }

    void scatter_block(const Block& block, W* sums) const {
        const Axis &z_axis = pool_.z, &y_axis = pool_.y, &x_axis = pool_.x;
        const int64_t channels = block.channels.size();
        const int64_t columns = block.x.size(), rows = block.y.size();
        const int64_t count = block.z.size() * rows * columns * channels;
        for (int64_t i = 0; i < count; ++i) sums[i] = 0;

        // A window has at most as many taps as winners can name. One of 2^32 cannot be written
        // down in 32 bits, but divides the same up to its last tap.
        constexpr int64_t most = 0xffffffff;
        const auto y_window = static_cast<uint32_t>(min(y_axis.window, most));
        const auto x_window = static_cast<uint32_t>(min(x_axis.window, most));
        const Cells planes = watchers_of(z_axis, block.z);
        const Cells lines = watchers_of(y_axis, block.y), windows = watchers_of(x_axis, block.x);
        for (int64_t oz = planes.begin; oz < planes.end; ++oz)
            for (int64_t oy = lines.begin; oy < lines.end; ++oy)
                for (int64_t ox = windows.begin; ox < windows.end; ++ox) {
                    const T* grad = grad_.image(block.n) + oz * grad_.z_stride +
                                    oy * grad_.y_stride + ox * grad_.x_stride +
                                    block.channels.begin * grad_.c_stride;
                    const U* winners = winners_.image(block.n) + oz * winners_.z_stride +
                                       oy * winners_.y_stride + ox * winners_.x_stride +
                                       block.channels.begin * winners_.c_stride;
                    const int64_t z_first = z_axis.first(oz), y_first = y_axis.first(oy);
                    const int64_t x_first = x_axis.first(ox);
                    for (int64_t c = 0; c < channels; ++c) {
                        const uint32_t offset = winners[c * winners_.c_stride];
                        const uint32_t line = offset / x_window;
                        const int64_t kx = offset - line * x_window;
                        const int64_t kz = line / y_window, ky = line - kz * y_window;
                        const int64_t z = z_first + kz * z_axis.dilation;
                        const int64_t y = y_first + ky * y_axis.dilation;
                        const int64_t x = x_first + kx * x_axis.dilation;
                        // A winner is what the caller says it is: it may lie anywhere.
                        if (kz >= z_axis.taps(oz) || ky >= y_axis.taps(oy) ||
                            kx >= x_axis.taps(ox) || !block.z.holds(z) || !block.y.holds(y) ||
                            !block.x.holds(x))
                            continue;
                        const int64_t at = ((z - block.z.begin) * rows + y - block.y.begin) * columns +
                                           x - block.x.begin;
                        sums[at * channels + c] += widen(grad[c * grad_.c_stride]);
                    }
                }

        for (int64_t z = block.z.begin; z < block.z.end; ++z)
            for (int64_t y = block.y.begin; y < block.y.end; ++y) {
                T* to = out_.image(block.n) + z * out_.z_stride + y * out_.y_stride +
                        block.x.begin * out_.x_stride + block.channels.begin * out_.c_stride;
                if (channels == 1)
                    write_row(sums, columns, to, out_.x_stride);
                else
                    for (int64_t x = 0; x < columns; ++x)
                        write_row(sums + x * channels, channels, to + x * out_.x_stride,
                                  out_.c_stride);
                sums += columns * channels;
            }
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
            MaxPoolGrad<T, U>(grad.as<const T>(), winners.as<const U>(), out.as<T>(), pool).run();
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
