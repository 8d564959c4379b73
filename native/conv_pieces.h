// Filter and condense in one step: what of the convolution a piece of pooled outputs needs.
#pragma once

#include "operands.h"
#include "simd.h"
#include "tile.h"

namespace attar::ATTAR_ISA {

// The window of the whole step: from a pooled output back to the image.
inline Axis through(const Axis& conv, const Axis& pool) {
    return {conv.in,
            conv.span(pool.extent()),
            pool.stride * conv.stride,
            1,
            pool.pad_before * conv.stride + conv.pad_before,
            0,
            pool.out};
}

// The outputs that a task computes, and the part of the convolution's map that they need.
struct Piece {
    Range rows, columns;              // pooled outputs
    int64_t conv_y, conv_x;           // where their first window begins; may be outside the map
    int64_t conv_width;               // columns from the first to the last window's end
    Range inside_y, inside_x;         // what of that lies in the map

    Piece(const Pool& pool, Range rows_, Range columns_)
        : rows(rows_), columns(columns_), conv_y(pool.y.first(rows.begin)),
          conv_x(pool.x.first(columns.begin)), conv_width(pool.x.span(columns.size())),
          inside_y{max(0, conv_y), min(pool.y.in, conv_y + pool.y.span(rows.size()))},
          inside_x{max(0, conv_x), min(pool.x.in, conv_x + conv_width)} {}

    bool whole(const Pool& pool) const {
        return inside_y.begin == conv_y && inside_x.begin == conv_x &&
               inside_y.end == conv_y + pool.y.span(rows.size()) &&
               inside_x.size() == conv_width;
    }

    // The image behind the map: `conv_columns` columns of it from the first one inside.
    template <class T>
    Box box(const Convolution<T>& conv, int64_t conv_columns, int64_t group) const {
        return {conv.y.first(inside_y.begin), conv.y.span(inside_y.size()),
                conv.x.first(inside_x.begin), conv.x.span(conv_columns),
                group * conv.channels_per_group, conv.channels_per_group};
    }

    // A row of the convolution, counted from the piece's first: as a row of the tile, or -1
    // where it lies outside the map.
    int64_t row_inside(int64_t y) const {
        const int64_t at = conv_y + y;
        return at >= inside_y.begin && at < inside_y.end ? at - inside_y.begin : -1;
    }
};

// The last rows of a convolution, as many as a pool's window spans. Row y of a piece, counted
// from its first, is in slot y modulo the number of slots.
template <class T>
struct Ring {
    T* data;
    int64_t slots, slot_size;

    T* slot(int64_t y) const { return data + y % slots * slot_size; }

    // For every output row: calls compute(y, end) for the rows [y, end) that its window needs and
    // does not have, as long as there are some, each time getting back how many were computed;
    // then emit(o, first) with the first row of the window.
    template <class Compute, class Emit>
    void roll(const Axis& pool, Range outputs, const Compute& compute, const Emit& emit) const {
        int64_t next = 0;
        for (int64_t o = outputs.begin; o < outputs.end; ++o) {
            const int64_t first = (o - outputs.begin) * pool.stride;
            const int64_t end = first + pool.extent();
            for (int64_t y = max(next, first); y < end;) y += compute(y, end);
            next = end;
            emit(o, first);
        }
    }
};

}  // namespace attar::ATTAR_ISA
