// What the gradients of pools share: which windows see a cell, how the cells of the answer are
// handed out, and rows of numbers in and out.
//
// A gradient flows from the outputs of a pool back to its inputs. Here "output" and "window" keep
// the meaning that they have for the pool, and what is computed are its inputs: the cells.
//
// Whoever owns a cell adds up all that flows into it, starting with 0, window after window in
// row-major order. So a sum does not depend on threads, bands, layout or instruction set.
#pragma once

#include "arena.h"
#include "numbers.h"
#include "operations.h"
#include "parallel.h"

namespace attar::ATTAR_ISA {

struct Cells {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
    bool holds(int64_t i) const { return i >= begin && i < end; }
};

// The windows that may see cell i of an axis: [begin, end). Both grow with i, and so does this.
class Watchers {
  public:
    Watchers(const Axis& axis, int64_t i) : axis_(axis) {
        begin = search([&](int64_t o) { return last(o) >= i; });
        end = search([&](int64_t o) { return axis.first(o) > i; });
    }

    ATTAR_INLINE void advance(int64_t i) {
        while (begin < axis_.out && last(begin) < i) ++begin;
        while (end < axis_.out && axis_.first(end) <= i) ++end;
    }

    int64_t begin, end;

  private:
    ATTAR_INLINE int64_t last(int64_t o) const {
        return axis_.first(o) + (axis_.taps(o) - 1) * axis_.dilation;
    }

    // The first window for which it is true; it stays true for those behind.
    template <class Holds>
    int64_t search(const Holds& holds) const {
        int64_t low = 0, high = axis_.out;
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (holds(middle))
                high = middle;
            else
                low = middle + 1;
        }
        return low;
    }

    const Axis& axis_;
};

// The tap with which window o, one of the watchers of cell i, sees it; negative where i falls
// between two taps.
ATTAR_INLINE int64_t tap_on(const Axis& axis, int64_t o, int64_t i) {
    const int64_t distance = i - axis.first(o);
    if (axis.dilation == 1) return distance;
    return distance % axis.dilation ? -1 : distance / axis.dilation;
}

// The windows that may see any of the cells.
inline Cells watchers_of(const Axis& axis, Cells cells) {
    return {Watchers(axis, cells.begin).begin, Watchers(axis, cells.end - 1).end};
}

// The most windows that may see one cell.
inline int64_t most_watchers(const Axis& axis) {
    if (!axis.bounds) return min(axis.out, (axis.extent() + axis.stride - 1) / axis.stride);
    int64_t most = 0;
    Watchers watchers(axis, 0);
    for (int64_t i = 0; i < axis.in; ++i) {
        watchers.advance(i);
        most = max(most, watchers.end - watchers.begin);
    }
    return most;
}

// One task: a box of cells of some channels of an image.
struct Block {
    int64_t n;
    Cells z, y, x, channels;
};

// All cells in blocks of at most the given sizes.
class Blocks {
  public:
    template <class T>
    Blocks(const Images<T>& cells, int64_t planes, int64_t rows, int64_t columns, int64_t channels)
        : size_{cells.depth, cells.height, cells.width, cells.channels},
          step_{planes, rows, columns, channels} {
        count_ = cells.n;
        for (int i = 0; i < 4; ++i) {
            step_[i] = max(1, min(step_[i], size_[i]));
            count_ *= steps(i);
        }
    }

    int64_t count() const { return count_; }
    int64_t planes() const { return step_[0]; }
    int64_t rows() const { return step_[1]; }
    int64_t columns() const { return step_[2]; }
    int64_t channels() const { return step_[3]; }

    Block operator[](int64_t index) const {
        Cells part[4];
        const int order[] = {2, 1, 0, 3};
        for (const int i : order) {
            const int64_t begin = index % steps(i) * step_[i];
            part[i] = {begin, min(size_[i], begin + step_[i])};
            index /= steps(i);
        }
        return {index, part[0], part[1], part[2], part[3]};
    }

  private:
    int64_t steps(int i) const { return (size_[i] + step_[i] - 1) / step_[i]; }

    int64_t size_[4], step_[4], count_;
};

// What a block holds should stay in a core's own cache, beside what is read for it.
constexpr int64_t block_bytes = 128 << 10;
constexpr int64_t block_columns = 4096;

// Planes of one channel: rows enough that few windows are read for two blocks, and channels
// together where a plane is small or where their numbers lie side by side.
template <class T>
Blocks planar_blocks(const Images<T>& cells, const Pool& pool, int64_t number_bytes) {
    const int64_t columns = min(cells.width, block_columns);
    const int64_t wanted = block_bytes / (columns * number_bytes);
    const int64_t rows = min(cells.height, max(wanted, 2 * min(pool.y.extent(), cells.height)));
    const int64_t together = cells.c_stride == 1 ? 16 : 1;
    return {cells, 1, rows, columns, max(together, wanted / rows)};
}

// One window over everything: a plane whose rows follow one another is one long row, and so is a
// volume of such planes. Taps keep their numbers, and means their divisors.
template <class T>
void fold(Images<T>& cells, Pool& pool) {
    const auto whole = [](const Axis& axis) {
        return !axis.bounds && axis.out == 1 && axis.window == axis.in && axis.dilation == 1 &&
               axis.pad_before == 0 && axis.pad_after == 0;
    };
    const auto over = [](int64_t size) { return Axis{size, size, 1, 1, 0, 0, 1}; };
    if (!whole(pool.x) || !whole(pool.y) || cells.y_stride != cells.width * cells.x_stride) return;
    cells.width *= cells.height;
    cells.height = 1;
    pool.x = over(cells.width);
    pool.y = over(1);
    if (!whole(pool.z) || cells.z_stride != cells.width * cells.x_stride) return;
    cells.width *= cells.depth;
    cells.depth = 1;
    pool.x = over(cells.width);
    pool.z = over(1);
}

// ------------------------------------------------------------------------ rows in and out

// `count` numbers, `stride` apart, one behind the other as numbers to compute with. The last vector
// overlaps the one before it.
template <class T>
ATTAR_INLINE void read_row(const T* from, int64_t stride, int64_t count, Wide<T>* to) {
    using W = Wide<T>;
    constexpr int64_t L = lanes<W>;
    if (stride == 1 && count >= L) {
        for (int64_t i = 0; i + L < count; i += L) store(to + i, load_as<W>(from + i));
        store(to + count - L, load_as<W>(from + count - L));
    } else {
        for (int64_t i = 0; i < count; ++i) to[i] = widen(from[i * stride]);
    }
}

template <class T>
ATTAR_INLINE void write_row(const Wide<T>* from, int64_t count, T* to, int64_t stride) {
    using W = Wide<T>;
    constexpr int64_t L = lanes<W>;
    if (stride == 1 && count >= L) {
        for (int64_t i = 0; i + L < count; i += L) store_as<W>(to + i, load(from + i));
        store_as<W>(to + count - L, load(from + count - L));
    } else {
        for (int64_t i = 0; i < count; ++i) to[i * stride] = narrow<T>(from[i]);
    }
}

// ------------------------------------------------------------------------ columns in phases

// How the windows of an axis with stride 1 or 2 fill the lanes of a vector. Cell x is the phase
// (x + pad_before) % stride of step j = (x + pad_before) / stride, and tap k of window j - m, where
// k * dilation = m * stride + phase. So a vector of consecutive windows makes a vector of
// consecutive steps of one phase, and the phases by turns are a row of cells.
struct Steps {
    int64_t stride, begin, count, margin;

    Steps(const Axis& axis, Cells cells)
        : stride(axis.stride),
          begin(floor_of(cells.begin + axis.pad_before, axis.stride)),
          count(floor_of(cells.end - 1 + axis.pad_before, axis.stride) + 1 - begin),
          margin((axis.window - 1) * axis.dilation / axis.stride) {}

    // The window that stands first in a row of windows with its margin.
    int64_t first_window() const { return begin - margin; }
    // The numbers before the first cell, in a row of cells.
    int64_t skipped(const Axis& axis, Cells cells) const {
        return cells.begin + axis.pad_before - begin * stride;
    }

    // For rows that hold any `cells` cells.
    static int64_t windows_length(const Axis& axis, int64_t cells) {
        return cells / axis.stride + 2 + (axis.window - 1) * axis.dilation / axis.stride;
    }

  private:
    static int64_t floor_of(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }
};

}  // namespace attar::ATTAR_ISA
