// What flows into the map of a convolution, as lists: for each filter, which places of the image lie
// under the cells that get something, and how much.
//
// Behind a maximum one cell of each window gets all of it, and behind ReLU many get nothing. The
// lists hold what is left, so a gradient of a convolution costs what it needs to and no more.
#pragma once

#include "arena.h"
#include "kernels.h"
#include "simd.h"
#include "tile.h"

namespace attar::ATTAR_ISA {

// The gradient of the pooled map, and of each window the cell that it flows to: a whole number from 0
// up, row by row; one that no cell has says that it flows nowhere. Or, where there is no pool, the
// map behind ReLU, of the gradient's type: nothing flows where that is 0.
template <class T, class W>
struct MapGrad {
    const Images<const T>& grad;
    const Images<const W>& winners;
    const Pool& pool;
};

// Calls run(winners) with the type of their numbers: unsigned ones of so many bytes, or T for 0.
template <class T, class Run>
void with_winners(const AnyInput& winners, int bytes, const Run& run) {
    if (bytes == 0)
        run(winners.as<const T>());
    else if (bytes == 1)
        run(winners.as<const uint8_t>());
    else if (bytes == 2)
        run(winners.as<const uint16_t>());
    else
        run(winners.as<const uint32_t>());
}

template <class T>
struct Flow {
    uint32_t place;  // in numbers of the image, from where the piece begins
    T value;
};

// Pieces of the pooled map, all of one size but the last ones of a row and of a column. They do not
// depend on anything but the shape, and neither do sums over them.
class EvenPieces {
  public:
    EvenPieces(const Pool& pool, int64_t rows, int64_t columns)
        : pool_(pool), rows_(rows), columns_(columns) {}

    int64_t rows() const { return ceil_div(pool_.y.out, rows_); }
    int64_t columns() const { return ceil_div(pool_.x.out, columns_); }
    int64_t most_windows() const { return rows_ * columns_; }
    int64_t most_rows() const { return rows_; }
    int64_t most_columns() const { return columns_; }
    Range row_range(int64_t i) const { return {i * rows_, min(pool_.y.out, (i + 1) * rows_)}; }
    Range column_range(int64_t i) const {
        return {i * columns_, min(pool_.x.out, (i + 1) * columns_)};
    }

  private:
    const Pool& pool_;
    int64_t rows_, columns_;
};

// Pieces whose image stays in the innermost cache, if they still have windows enough: what is read
// for a piece and a filter must serve many of them.
template <class T>
EvenPieces even_pieces(const Convolution<T>& conv, const Pool& pool) {
    constexpr int64_t image_bytes = 48 << 10, least_windows = 32, most_places = int64_t{1} << 31;
    const auto numbers = [&](int64_t rows, int64_t columns) {
        return conv.y.span(pool.y.span(rows)) * conv.x.span(pool.x.span(columns)) *
               conv.channels_per_group;
    };
    const auto fits = [&](int64_t rows, int64_t columns) {
        return numbers(rows, columns) * int64_t{sizeof(T)} <= image_bytes;
    };
    int64_t columns = pool.x.out, rows = 1;
    while (columns > least_windows && !fits(1, columns)) columns = ceil_div(columns, 2);
    while (rows < pool.y.out && numbers(rows + 1, pool.x.out) < most_places &&
           (rows * columns < least_windows || fits(rows + 1, columns)))
        ++rows;
    return {pool, rows, columns};
}

inline constexpr int64_t listed_filters = 16;  // at a time: a cache line of floats

// The lists of some filters for one piece after the other, over an image of the convolution's
// channels, pixel by pixel, `row_stride` numbers from row to row.
template <class T, class W>
class FlowLists {
  public:
    FlowLists(const MapGrad<T, W>& map, const Convolution<T>& conv, const EvenPieces& pieces,
              int64_t row_stride, Arena& arena)
        : map_(map), capacity_(pieces.most_windows() + 1),
          row_step_(conv.y.stride * row_stride), step_(conv.x.stride * conv.channels_per_group),
          places_(arena.take<uint32_t>(map.pool.y.window * map.pool.x.window + 1)),
          flows_(arena.take<Flow<T>>(listed_filters * capacity_)) {}

    // The place of each cell of a window, counted from its first, and one more that is not used.
    void fill_places() {
        const Pool& pool = map_.pool;
        uint32_t* to = places_;
        for (int64_t ky = 0; ky < pool.y.window; ++ky)
            for (int64_t kx = 0; kx < pool.x.window; ++kx)
                *to++ = static_cast<uint32_t>(ky * pool.y.dilation * row_step_ +
                                              kx * pool.x.dilation * step_);
        *to = 0;
    }

    const Flow<T>* begin(int64_t filter) const { return flows_ + filter * capacity_; }
    int64_t count(int64_t filter) const { return counts_[filter]; }

    // What flows into the filters [first, first + count) from the windows of a piece.
    void fill(int64_t n, Range rows, Range columns, int64_t first, int64_t count) {
        const Pool& pool = map_.pool;
        const Range inside = windows_inside(pool.x, columns);
        for (int64_t f = 0; f < count; ++f) {
            Flow<T>* to = flows_ + f * capacity_;
            for (int64_t oy = rows.begin; oy < rows.end; ++oy) {
                const auto row = [&]<bool whole>(Range windows) {
                    const int64_t place =
                        (oy - rows.begin) * pool.y.stride * row_step_ +
                        (windows.begin - columns.begin) * pool.x.stride * step_;
                    to = list<whole>(n, oy, windows, first + f, place, to);
                };
                if (windows_inside(pool.y, {oy, oy + 1}).size() == 1) {
                    row.template operator()<false>({columns.begin, inside.begin});
                    row.template operator()<true>(inside);
                    row.template operator()<false>({inside.end, columns.end});
                } else {
                    row.template operator()<false>(columns);
                }
            }
            counts_[f] = to - begin(f);
        }
    }

  private:
    // Lists what flows from some windows of a row, and returns where the list ends. What does not
    // flow is written too, and overwritten by the next.
    template <bool whole>
    ATTAR_INLINE Flow<T>* list(int64_t n, int64_t oy, Range windows, int64_t filter, int64_t place,
                               Flow<T>* to) const {
        const Pool& pool = map_.pool;
        const auto cells = static_cast<uint64_t>(pool.y.window * pool.x.window);
        const auto &grad = map_.grad, &winners = map_.winners;
        const T* g = grad.image(n) + oy * grad.y_stride + windows.begin * grad.x_stride +
                     filter * grad.c_stride;
        const W* w = winners.image(n) + oy * winners.y_stride +
                     windows.begin * winners.x_stride + filter * winners.c_stride;
        const uint32_t* places = places_;
        const int64_t step = pool.x.stride * step_;
        for (int64_t ox = windows.begin; ox < windows.end; ++ox) {
            uint64_t cell = cell_of(*w);
            cell = cell < cells ? cell : cells;
            if (!whole && !on_map(pool, oy, ox, cell)) cell = cells;
            *to = {static_cast<uint32_t>(place) + places[cell], *g};
            to += cell != cells;
            g += grad.x_stride;
            w += winners.x_stride;
            place += step;
        }
        return to;
    }

    static ATTAR_INLINE uint64_t cell_of(W winner) {
        if constexpr (is_float<W>)
            return winner <= 0;
        else
            return winner;
    }

    // Those whose cells all lie on the map.
    static Range windows_inside(const Axis& axis, Range windows) {
        const int64_t room = axis.in + axis.pad_before - axis.extent();
        const int64_t first = ceil_div(max(0, axis.pad_before), axis.stride);
        const int64_t begin = min(windows.end, max(windows.begin, first));
        const int64_t end = room < 0 ? 0 : room / axis.stride + 1;
        return {begin, max(begin, min(windows.end, end))};
    }
    static bool on_map(const Pool& pool, int64_t oy, int64_t ox, uint64_t cell) {
        const auto index = static_cast<int64_t>(cell);
        const int64_t y = pool.y.first(oy) + index / pool.x.window * pool.y.dilation;
        const int64_t x = pool.x.first(ox) + index % pool.x.window * pool.x.dilation;
        return y >= 0 && y < pool.y.in && x >= 0 && x < pool.x.in;
    }

    const MapGrad<T, W>& map_;
    int64_t capacity_, row_step_, step_;  // the last two from cell to cell of the map
    uint32_t* places_;
    Flow<T>* flows_;
    int64_t counts_[listed_filters];
};

}  // namespace attar::ATTAR_ISA
