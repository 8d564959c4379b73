// What a piece of a convolution reads: the image itself where that can be read without checks, a
// padded copy elsewhere. A number that is copied once serves hundreds of multiply-adds, so whole
// pieces are copied, not only what lies at the border.
#pragma once

#include "operands.h"
#include "simd.h"
#include "tile.h"

namespace attar::ATTAR_ISA {

template <class T>
struct Source {
    const T* data;
    int64_t row_stride, pixel_stride;
};

// Whether pixels that are `numbers` apart crowd into two sets of the innermost cache, or one.
template <class T>
bool crowded(int64_t numbers) {
    return numbers * int64_t{sizeof(T)} % 2048 == 0;
}

// Numbers from pixel to pixel of a copy whose pixels are read `stride` apart.
template <class T>
int64_t copied_pixel(int64_t channels, int64_t stride) {
    return crowded<T>(channels * stride) ? channels + lanes<T> : channels;
}

// The channels of one pixel after the other, or of all of them at once.
template <class T>
ATTAR_INLINE void copy_pixels(const T* from, const Images<const T>& images, int64_t channels,
                              int64_t count, int64_t pixel, T* to) {
    if (images.c_stride == 1 && images.x_stride == channels && pixel == channels) {
        copy_numbers(from, count * channels, to);
        return;
    }
    for (int64_t x = 0; x < count; ++x, from += images.x_stride, to += pixel) {
        if (images.c_stride == 1)
            copy_numbers(from, channels, to);
        else
            for (int64_t c = 0; c < channels; ++c) to[c] = from[c * images.c_stride];
    }
}

// The box, zeros where it lies outside of the image, in rows of `row_stride` numbers. Up to a vector
// behind the last is written too.
template <class T>
void copy_box(const Images<const T>& images, const T* image, const Box& box, int64_t row_stride,
              int64_t pixel, T* to) {
    const T* first = image + box.channel * images.c_stride;
    const int64_t left = min(box.columns, max(0, -box.x));
    const int64_t right = max(left, min(box.columns, images.width - box.x));
    for (int64_t r = 0; r < box.rows; ++r, to += row_stride) {
        const int64_t y = box.y + r;
        if (y < 0 || y >= images.height) {
            clear_vectors(box.columns * pixel, to);
            continue;
        }
        clear_vectors(left * pixel, to);
        copy_pixels(first + y * images.y_stride + (box.x + left) * images.x_stride, images,
                    box.channels, right - left, pixel, to + left * pixel);
        clear_vectors((box.columns - right) * pixel, to + right * pixel);
    }
}

// The box, in place or copied. A copy takes box.rows * box.columns * `pixel` numbers of scratch, and
// up to a vector more.
template <class T>
Source<T> conv_source(const Images<const T>& images, const T* image, const Box& box,
                      int64_t stride, int64_t pixel, T* scratch) {
    if (images.c_stride == 1 && box.inside(images) && !crowded<T>(images.x_stride * stride))
        return {image + box.channel + box.y * images.y_stride + box.x * images.x_stride,
                images.y_stride, images.x_stride};
    const int64_t row_stride = box.columns * pixel;
    copy_box(images, image, box, row_stride, pixel, scratch);
    return {scratch, row_stride, pixel};
}

}  // namespace attar::ATTAR_ISA
