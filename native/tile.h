// A tile: the part of one image that a piece of work reads, without bounds checks.
//
// Where that part lies inside the image and its rows are contiguous, the tile is a view of the
// image. Elsewhere (at borders, across strides and layouts) it is a padded copy in scratch
// memory. Layout and padding are known here and nowhere else; a kernel sees rows of numbers.
#pragma once

#include "operands.h"
#include "simd.h"

namespace attar::ATTAR_ISA {

// A range [begin, end).
struct Range {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
};

// The outputs of one axis in pieces of at most `size`: those at the border, whose windows reach
// over the input's edge and need a copy, apart from the interior, which can be read in place.
// `slack` inputs behind a window are read as well. Where the interior begins and how much it
// holds are multiples of `grain`, so that no lane of its vectors is wasted.
class Pieces {
  public:
    Pieces(const Axis& axis, int64_t slack, int64_t grain, int64_t size)
        : out_(axis.out), size_(max(1, size)) {
        const int64_t room = axis.in + axis.pad_before - slack - axis.extent();
        const int64_t inside_end = room < 0 ? 0 : min(out_, room / axis.stride + 1);
        lead_ = round_up(max(0, axis.pad_before + axis.stride - 1) / axis.stride, grain);
        tail_ = lead_ + (inside_end - lead_) / grain * grain;
        if (tail_ <= lead_) lead_ = tail_ = 0;
    }

    int64_t count() const { return steps(lead_) + steps(tail_ - lead_) + steps(out_ - tail_); }

    Range operator[](int64_t index) const {
        if (index < steps(lead_)) return piece(0, lead_, index);
        index -= steps(lead_);
        if (index < steps(tail_ - lead_)) return piece(lead_, tail_, index);
        return piece(tail_, out_, index - steps(tail_ - lead_));
    }

    int64_t largest() const { return min(size_, max(lead_, max(tail_ - lead_, out_ - tail_))); }

  private:
    int64_t steps(int64_t outputs) const { return (outputs + size_ - 1) / size_; }
    Range piece(int64_t begin, int64_t end, int64_t index) const {
        return {begin + index * size_, min(end, begin + (index + 1) * size_)};
    }

    int64_t out_, size_, lead_, tail_;
};

template <class T>
struct Tile {
    const T* data;
    int64_t row_stride;
    int64_t plane_stride;  // from channel to channel (and from phase to phase)
    Range columns;         // those in memory; the others are padding
};

// The part of an image to be read: rows and columns may lie outside of it.
struct Box {
    int64_t y, rows, x, columns, channel, channels;

    template <class T>
    bool rows_inside(const Images<T>& images) const {
        return y >= 0 && y + rows <= images.height;
    }
    template <class T>
    bool inside(const Images<T>& images) const {
        return rows_inside(images) && x >= 0 && x + columns <= images.width;
    }
};

// Short rows in great number: a call of memcpy or memset for each would cost more than the copy.
// The last vector overlaps the one before it.
template <class T>
ATTAR_INLINE void copy_numbers(const T* from, int64_t count, T* to) {
    constexpr int64_t L = lanes<T>;
    if (count < L) {
        for (int64_t i = 0; i < count; ++i) to[i] = from[i];
        return;
    }
    for (int64_t i = 0; i < count - L; i += L) store(to + i, load(from + i));
    store(to + count - L, load(from + count - L));
}

// Whole vectors: up to a vector less one number behind `count` is overwritten as well.
template <class T>
ATTAR_INLINE void clear_vectors(int64_t count, T* to) {
    for (int64_t i = 0; i < count; i += lanes<T>) store(to + i, Vec<T>{});
}

// Columns x, x + step, ... of a row, `count` of them: those in [left, right) lie in the image.
struct RowCopy {
    int64_t first, step, count, left, right;

    RowCopy(int64_t width, int64_t x, int64_t step_, int64_t count_)
        : first(x), step(step_), count(count_),
          left(min(count, x >= 0 ? 0 : (step - 1 - x) / step)),
          right(max(left, min(count, width <= x ? 0 : (width - x + step - 1) / step))) {}

    // Writes the row, with 0 for columns outside, and up to a vector behind it.
    template <class T>
    ATTAR_INLINE void operator()(const T* row, int64_t x_stride, T* to) const {
        clear_vectors(left, to);
        const T* from = row + (first + left * step) * x_stride;
        if (step * x_stride == 1)
            copy_numbers(from, right - left, to + left);
        else
            for (int64_t i = 0; i < right - left; ++i) to[left + i] = from[i * step * x_stride];
        clear_vectors(count - right, to + right);
    }
};

// Three interleaved channels into three planes: what every colour photograph needs.
template <class T>
ATTAR_INLINE void split_rgb(const T* from, int64_t count, T* red, T* green, T* blue) {
    for (int64_t i = 0; i < count; ++i) {
        red[i] = from[3 * i];
        green[i] = from[3 * i + 1];
        blue[i] = from[3 * i + 2];
    }
}

// Scratch elements that a planar tile of this size may need.
template <class T>
int64_t planar_size(int64_t rows, int64_t columns, int64_t channels, int64_t phases) {
    return rows * channels * phases * ((columns + phases - 1) / phases) + lanes<T>;
}

// The box as rows of single channels. With `phases` > 1 every channel is split into that many
// planes, columns p, p + phases, p + 2 phases, ..., so that a strided convolution reads
// consecutive numbers: plane (channel * phases + p). A kernel that heeds Tile::columns says so
// with `open`: it can read in place what is left and right of an image.
template <class T>
Tile<T> planar_tile(const Images<const T>& images, const T* image, const Box& box, int64_t phases,
                    bool open, T* scratch) {
    if (phases == 1 && images.x_stride == 1 &&
        (open ? box.rows_inside(images) : box.inside(images)))
        return {image + box.y * images.y_stride + box.x + box.channel * images.c_stride,
                images.y_stride, images.c_stride, {-box.x, images.width - box.x}};
    const int64_t width = (box.columns + phases - 1) / phases;
    const int64_t row_stride = width * phases * box.channels;
    const bool rgb = phases == 1 && box.channels == 3 && images.c_stride == 1 &&
                     images.x_stride == 3;
    const RowCopy whole(images.width, box.x, 1, width);
    for (int64_t r = 0; r < box.rows; ++r) {
        T* to = scratch + r * row_stride;
        const int64_t y = box.y + r;
        if (y < 0 || y >= images.height) {
            clear_vectors(row_stride, to);
            continue;
        }
        const T* row = image + y * images.y_stride + box.channel * images.c_stride;
        if (rgb) {
            for (int64_t c = 0; c < 3; ++c) {
                clear_vectors(whole.left, to + c * width);
                clear_vectors(width - whole.right, to + c * width + whole.right);
            }
            split_rgb(row + (box.x + whole.left) * 3, whole.right - whole.left, to + whole.left,
                      to + width + whole.left, to + 2 * width + whole.left);
            continue;
        }
        for (int64_t c = 0; c < box.channels; ++c, row += images.c_stride)
            for (int64_t p = 0; p < phases; ++p, to += width) {
                if (phases == 1)
                    whole(row, images.x_stride, to);
                else
                    RowCopy(images.width, box.x + p, phases, width)(row, images.x_stride, to);
            }
    }
    return {scratch, row_stride, width, {0, width}};
}

}  // namespace attar::ATTAR_ISA
