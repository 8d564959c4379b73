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
        lead_ = round_up((axis.pad_before + axis.stride - 1) / axis.stride, grain);
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
    int64_t plane_stride;  // planar: from channel to channel (and from phase to phase)
    int64_t pixel_stride;  // interleaved: from pixel to pixel
};

// The part of an image to be read: rows and columns may lie outside of it.
struct Box {
    int64_t y, rows, x, columns, channel, channels;

    template <class T>
    bool inside(const Images<T>& images) const {
        return y >= 0 && y + rows <= images.height && x >= 0 && x + columns <= images.width;
    }
};

// Copies column x, x + step, ... of one row of one channel; columns outside give `fill`.
template <class T>
ATTAR_INLINE void copy_row(const Images<const T>& images, const T* row, int64_t x, int64_t step,
                           int64_t count, T fill, T* to) {
    const int64_t left = min(count, x >= 0 ? 0 : (-x + step - 1) / step);
    const int64_t beyond = images.width - x;
    const int64_t right = max(left, min(count, beyond <= 0 ? 0 : (beyond + step - 1) / step));
    for (int64_t i = 0; i < left; ++i) to[i] = fill;
    const int64_t stride = step * images.x_stride;
    const T* from = row + (x + left * step) * images.x_stride;
    if (stride == 1)
        std::memcpy(to + left, from, static_cast<size_t>(right - left) * sizeof(T));
    else
        for (int64_t i = 0; i < right - left; ++i) to[left + i] = from[i * stride];
    for (int64_t i = right; i < count; ++i) to[i] = fill;
}

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
inline int64_t planar_size(int64_t rows, int64_t columns, int64_t channels, int64_t phases) {
    return rows * channels * phases * ((columns + phases - 1) / phases);
}

// The box as rows of single channels. With `phases` > 1 every channel is split into that many
// planes, columns p, p + phases, p + 2 phases, ..., so that a strided convolution reads
// consecutive numbers: plane (channel * phases + p).
template <class T>
Tile<T> planar_tile(const Images<const T>& images, const T* image, const Box& box, int64_t phases,
                    T fill, T* scratch) {
    if (phases == 1 && images.x_stride == 1 && box.inside(images))
        return {image + box.y * images.y_stride + box.x + box.channel * images.c_stride,
                images.y_stride, images.c_stride, 0};
    const int64_t width = (box.columns + phases - 1) / phases;
    const int64_t row_stride = width * phases * box.channels;
    const bool rgb = phases == 1 && box.channels == 3 && images.c_stride == 1 &&
                     images.x_stride == 3;
    for (int64_t r = 0; r < box.rows; ++r) {
        T* to = scratch + r * row_stride;
        const int64_t y = box.y + r;
        if (y < 0 || y >= images.height) {
            for (int64_t i = 0; i < row_stride; ++i) to[i] = fill;
            continue;
        }
        const T* row = image + y * images.y_stride + box.channel * images.c_stride;
        if (rgb) {
            const int64_t left = min(width, max(0, -box.x));
            const int64_t right = max(left, min(width, images.width - box.x));
            for (int64_t c = 0; c < 3; ++c) {
                for (int64_t i = 0; i < left; ++i) to[c * width + i] = fill;
                for (int64_t i = right; i < width; ++i) to[c * width + i] = fill;
            }
            split_rgb(row + (box.x + left) * 3, right - left, to + left, to + width + left,
                      to + 2 * width + left);
            continue;
        }
        for (int64_t c = 0; c < box.channels; ++c)
            for (int64_t p = 0; p < phases; ++p)
                copy_row(images, row + c * images.c_stride, box.x + p, phases, width, fill,
                         to + (c * phases + p) * width);
    }
    return {scratch, row_stride, width, 0};
}

// The box as rows of pixels, the channels of a pixel side by side.
template <class T>
Tile<T> interleaved_tile(const Images<const T>& images, const T* image, const Box& box, T fill,
                         T* scratch) {
    if (images.c_stride == 1 && box.inside(images))
        return {image + box.y * images.y_stride + box.x * images.x_stride + box.channel,
                images.y_stride, 0, images.x_stride};
    const int64_t row_stride = box.columns * box.channels;
    for (int64_t r = 0; r < box.rows; ++r) {
        const int64_t y = box.y + r;
        for (int64_t i = 0; i < box.columns; ++i) {
            T* to = scratch + r * row_stride + i * box.channels;
            const int64_t x = box.x + i;
            if (y < 0 || y >= images.height || x < 0 || x >= images.width) {
                for (int64_t c = 0; c < box.channels; ++c) to[c] = fill;
                continue;
            }
            const T* from = image + y * images.y_stride + x * images.x_stride +
                            box.channel * images.c_stride;
            if (images.c_stride == 1)
                std::memcpy(to, from, static_cast<size_t>(box.channels) * sizeof(T));
            else
                for (int64_t c = 0; c < box.channels; ++c) to[c] = from[c * images.c_stride];
        }
    }
    return {scratch, row_stride, 0, box.channels};
}

}  // namespace attar::ATTAR_ISA
