// The gradient of a sum or a mean: every window gives back what flows into it to all its cells,
// a mean divided by their number. One axis after the other, so a window costs its height plus its
// width: the windows that see a row of cells are added up, then spread along the row.
#include "pool_grad.h"

namespace attar::ATTAR_ISA {
namespace {

template <class T>
class SumPoolGrad {
    using W = Wide<T>;
    static constexpr int64_t L = lanes<W>;

  public:
    SumPoolGrad(const Images<const T>& grad, const Images<T>& out, const Pool& pool)
        : grad_(grad), out_(out), pool_(pool),
          interleaved_(out.c_stride == 1 && out.channels >= L),
          in_phases_(!interleaved_ && !pool.x.bounds && pool.x.stride <= 2 &&
                     pool.x.window <= 4 * pool.x.out),
          divides_(pool.kind == PoolKind::average), ring_rows_(most_watchers(pool.y)) {}

    void run() const {
        const Blocks blocks = interleaved_ ? interleaved_blocks()
                                           : planar_blocks(out_, pool_, sizeof(W));
        parallel_for(blocks.count(), Scratch(*this, blocks, nullptr).bytes,
                     [&](int64_t task, void* memory) {
                         const Scratch scratch(*this, blocks, memory);
                         Block block = blocks[task];
                         const Cells channels = block.channels;
                         const int64_t step = interleaved_ ? channels.size() : 1;
                         prepare(block, scratch);
                         for (int64_t c = channels.begin; c < channels.end; c += step) {
                             block.channels = {c, c + step};
                             run_block(block, scratch);
                         }
                     });
    }

  private:
    // Channels in groups whose rows of windows stay in the cache.
    Blocks interleaved_blocks() const {
        const int64_t columns = min(out_.width, block_columns);
        const int64_t group = max(L, min(out_.channels, 128) / L * L);
        const int64_t wanted = block_bytes / (columns * group * int64_t{sizeof(W)});
        const int64_t rows = max(wanted, 2 * min(pool_.y.extent(), out_.height));
        return {out_, 1, rows, columns, group};
    }

    // A row of windows is `length` numbers long: windows, or windows times channels. With room for
    // those beyond the ends, which are 0, where the windows are taken in phases.
    struct Scratch {
        W *ring, *sums, *line, *divisors;
        const W** rows;
        Cells* watchers;
        int64_t length;
        size_t bytes;

        Scratch(const SumPoolGrad& p, const Blocks& blocks, void* memory) {
            const Axis& x = p.pool_.x;
            const int64_t most =
                min(x.out, x.bounds ? blocks.columns() * most_watchers(x)
                                    : (blocks.columns() + x.extent()) / x.stride + 2);
            length = p.in_phases_ ? Steps::windows_length(x, blocks.columns())
                                  : most * (p.interleaved_ ? blocks.channels() : 1);
            length = round_up(length, L) + L;
            Arena arena(memory);
            ring = arena.take<W>(p.ring_rows_ * length);
            sums = arena.take<W>(length);
            divisors = arena.take<W>(length);
            line = arena.take<W>(max(2 * length, blocks.columns()));
            rows = arena.take<const W*>(p.ring_rows_);
            watchers = arena.take<Cells>(p.interleaved_ ? blocks.columns() : 0);
            bytes = arena.used();
        }
    };

    // The windows that see the columns of a block, from which number of a row on.
    int64_t windows_at(const Block& block, const Cells& windows) const {
        return in_phases_ ? windows.begin - Steps(pool_.x, block.x).first_window() : 0;
    }

    // What is the same for all channels and rows.
    void prepare(const Block& block, const Scratch& scratch) const {
        const Cells windows = watchers_of(pool_.x, block.x);
        if (in_phases_) {
            for (int64_t i = 0; i < scratch.length; ++i) scratch.sums[i] = 0;
            for (int64_t i = 0; i < ring_rows_ * scratch.length; ++i) scratch.ring[i] = 0;
        }
        if (divides_)
            for (int64_t i = 0; i < windows.size(); ++i)
                scratch.divisors[i] = static_cast<W>(pool_.divisor(pool_.x, windows.begin + i));
        if (interleaved_) {
            Watchers watchers(pool_.x, block.x.begin);
            for (int64_t x = block.x.begin; x < block.x.end; ++x) {
                watchers.advance(x);
                scratch.watchers[x - block.x.begin] = {watchers.begin, watchers.end};
            }
        }
    }

    void run_block(const Block& block, const Scratch& scratch) const {
        const int64_t z = block.z.begin, channels = block.channels.size();
        const Cells windows = watchers_of(pool_.x, block.x);
        const int64_t at = windows_at(block, windows);
        const int64_t skipped =
            in_phases_ ? Steps(pool_.x, block.x).skipped(pool_.x, block.x) : 0;
        T* to = out_.image(block.n) + z * out_.z_stride + block.x.begin * out_.x_stride +
                block.channels.begin * out_.c_stride;
        int64_t read_until = 0;
        const W* sums = nullptr;
        Cells before{-1, -1};
        Watchers watchers(pool_.y, block.y.begin);
        for (int64_t y = block.y.begin; y < block.y.end; ++y) {
            watchers.advance(y);
            for (int64_t oy = max(read_until, watchers.begin); oy < watchers.end; ++oy)
                read_windows(block, windows, oy, scratch,
                             scratch.ring + oy % ring_rows_ * scratch.length + at);
            read_until = watchers.end;

            T* row = to + y * out_.y_stride;
            const bool repeated = pool_.y.dilation == 1 && watchers.begin == before.begin &&
                                  watchers.end == before.end;
            before = {watchers.begin, watchers.end};
            if (!repeated) {
                sums = add_rows(watchers, y, windows.size() * channels, at, scratch);
                if (!interleaved_) spread_planar(block, windows, sums, scratch.line);
            }
            if (interleaved_)
                spread_interleaved(block, windows, sums, scratch, row);
            else
                write_row(scratch.line + skipped, block.x.size(), row, out_.x_stride);
        }
    }

    // One row of windows, what it gives back to each cell, added up along z.
    void read_windows(const Block& block, const Cells& windows, int64_t oy, const Scratch& scratch,
                      W* to) const {
        const int64_t z = block.z.begin, channels = block.channels.size();
        const Watchers planes(pool_.z, z);
        bool empty = true;
        for (int64_t oz = planes.begin; oz < planes.end; ++oz) {
            if (tap_on(pool_.z, oz, z) < 0) continue;
            const T* from = grad_.image(block.n) + oz * grad_.z_stride + oy * grad_.y_stride +
                            windows.begin * grad_.x_stride + block.channels.begin * grad_.c_stride;
            const W divisor = divides_ ? static_cast<W>(pool_.divisor(pool_.z, oz)) *
                                             static_cast<W>(pool_.divisor(pool_.y, oy))
                                       : W{1};
            if (channels == 1)
                read_planar(from, windows.size(), divisor, scratch.divisors, empty, to);
            else
                for (int64_t i = 0; i < windows.size(); ++i)
                    read_interleaved(from + i * grad_.x_stride, channels,
                                     divides_ ? divisor * scratch.divisors[i] : W{1}, empty,
                                     to + i * channels);
            empty = false;
        }
        if (empty)
            for (int64_t i = 0; i < windows.size() * channels; ++i) to[i] = 0;
    }

    ATTAR_INLINE void read_planar(const T* from, int64_t count, W divisor, const W* divisors,
                                  bool first, W* to) const {
        int64_t i = 0;
        if (grad_.x_stride == 1)
            for (; i + L <= count; i += L) {
                Vec<W> value = load_as<W>(from + i);
                if (divides_) value /= load(divisors + i) * divisor;
                store(to + i, first ? value : load(to + i) + value);
            }
        for (; i < count; ++i) {
            W value = widen(from[i * grad_.x_stride]);
            if (divides_) value /= divisors[i] * divisor;
            to[i] = first ? value : to[i] + value;
        }
    }

    ATTAR_INLINE void read_interleaved(const T* from, int64_t channels, W divisor, bool first,
                                       W* to) const {
        int64_t c = 0;
        if (grad_.c_stride == 1)
            for (; c + L <= channels; c += L) {
                Vec<W> value = load_as<W>(from + c);
                if (divides_) value /= broadcast(divisor);
                store(to + c, first ? value : load(to + c) + value);
            }
        for (; c < channels; ++c) {
            W value = widen(from[c * grad_.c_stride]);
            if (divides_) value /= divisor;
            to[c] = first ? value : to[c] + value;
        }
    }

    // The rows of windows that see row y of the cells, added up.
    const W* add_rows(const Watchers& watchers, int64_t y, int64_t count, int64_t at,
                      const Scratch& scratch) const {
        int64_t rows = 0;
        for (int64_t oy = watchers.begin; oy < watchers.end; ++oy)
            if (tap_on(pool_.y, oy, y) >= 0)
                scratch.rows[rows++] = scratch.ring + oy % ring_rows_ * scratch.length;
        if (rows == 1) return scratch.rows[0];
        for (int64_t i = at; i < at + count; i += L) {
            Vec<W> sum{};
            for (int64_t row = 0; row < rows; ++row) sum += load(scratch.rows[row] + i);
            store(scratch.sums + i, sum);
        }
        return scratch.sums;
    }

    void spread_planar(const Block& block, const Cells& windows, const W* sums, W* line) const {
        if (!in_phases_)
            spread_windows(block, windows, sums, line);
        else if (pool_.x.stride == 1)
            spread_in_phases<1>(Steps(pool_.x, block.x), sums, line);
        else
            spread_in_phases<2>(Steps(pool_.x, block.x), sums, line);
    }

    template <int stride>
    void spread_in_phases(const Steps& steps, const W* sums, W* line) const {
        const int64_t window = pool_.x.window, dilation = pool_.x.dilation;
        for (int64_t j = 0; j < steps.count; j += L) {
            Vec<W> phases[2] = {};
            for (int64_t tap = window - 1; tap >= 0; --tap) {
                const Vec<W> value = load(sums + steps.margin + j - tap * dilation / stride);
                if (tap * dilation % stride)
                    phases[1] += value;
                else
                    phases[0] += value;
            }
            if constexpr (stride == 1) {
                store(line + j, phases[0]);
            } else {
                store(line + 2 * j, first_by_turns<W>(phases[0], phases[1]));
                store(line + 2 * j + L, second_by_turns<W>(phases[0], phases[1]));
            }
        }
    }

    void spread_windows(const Block& block, const Cells& windows, const W* sums, W* line) const {
        const Axis& axis = pool_.x;
        for (int64_t x = 0; x < block.x.size(); ++x) line[x] = 0;
        for (int64_t o = windows.begin; o < windows.end; ++o) {
            const W value = sums[o - windows.begin];
            const int64_t dilation = axis.dilation;
            int64_t x = axis.first(o) - block.x.begin;
            const int64_t end = min(x + (axis.taps(o) - 1) * dilation + 1, block.x.size());
            if (x < 0) x += round_up(-x, dilation);
            if (dilation == 1)
                for (; x + L <= end; x += L) store(line + x, load(line + x) + broadcast(value));
            for (; x < end; x += dilation) line[x] += value;
        }
    }

    void spread_interleaved(const Block& block, const Cells& windows, const W* sums,
                            const Scratch& scratch, T* to) const {
        const int64_t channels = block.channels.size();
        for (int64_t x = block.x.begin; x < block.x.end; ++x, to += out_.x_stride) {
            const Cells watchers = scratch.watchers[x - block.x.begin];
            const W* from = sums + (watchers.begin - windows.begin) * channels;
            // What is left of many channels may be less than a vector; else the last vector
            // overlaps the one before it.
            int64_t c = 0;
            if (channels < L)
                for (; c < channels; ++c) spread_channel(x, watchers, channels, from + c, to + c);
            for (; c + 4 * L <= channels; c += 4 * L)
                spread_channels<4>(x, watchers, channels, from + c, to + c);
            for (; c < channels; c += L) {
                const int64_t last = min(c, channels - L);
                spread_channels<1>(x, watchers, channels, from + last, to + last);
            }
        }
    }

    template <int vectors>
    ATTAR_INLINE void spread_channels(int64_t x, const Cells& watchers, int64_t channels,
                                      const W* from, T* to) const {
        Vec<W> sum[vectors] = {};
        for (int64_t o = watchers.begin; o < watchers.end; ++o, from += channels)
            if (pool_.x.dilation == 1 || tap_on(pool_.x, o, x) >= 0)
                for (int v = 0; v < vectors; ++v) sum[v] += load(from + v * L);
        for (int v = 0; v < vectors; ++v) store_as<W>(to + v * L, sum[v]);
    }

    void spread_channel(int64_t x, const Cells& watchers, int64_t channels, const W* from,
                        T* to) const {
        W sum = 0;
        for (int64_t o = watchers.begin; o < watchers.end; ++o, from += channels)
            if (tap_on(pool_.x, o, x) >= 0) sum += *from;
        *to = narrow<T>(sum);
    }

    const Images<const T>& grad_;
    const Images<T>& out_;
    const Pool& pool_;
    bool interleaved_, in_phases_, divides_;
    int64_t ring_rows_;  // the most rows of windows that see one row of cells
};

}  // namespace

void sum_pool_grad(Number number, const AnyInput& grad, const AnyOutput& out, const Pool& pool) {
    with_float_type(number, [&](auto zero) {
        using T = decltype(zero);
        const auto from = grad.as<const T>();
        auto to = out.as<T>();
        Pool folded = pool;
        fold(to, folded);
        SumPoolGrad<T>(from, to, folded).run();
    });
}

}  // namespace attar::ATTAR_ISA
