// Pixels of pictures, whole numbers, as the floats of an image. Plain loops: the compiler finds their
// vectors, also those of pixels of three.
#include "operations.h"
#include "parallel.h"
#include "simd.h"

namespace attar::ATTAR_ISA {
namespace {

constexpr int64_t task_pixels = 1 << 15;

template <class T>
void scale_of(const T* in, float* out, int64_t count, float white) {
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(in[i]) / white;
}

}  // namespace

void scale(int bytes, const void* in, float* out, int64_t count, float white) {
    parallel_for(ceil_div(count, task_pixels), 0, [&](int64_t task, void*) {
        const int64_t begin = task * task_pixels, size = min(task_pixels, count - begin);
        if (bytes == 1)
            scale_of(static_cast<const uint8_t*>(in) + begin, out + begin, size, white);
        else
            scale_of(static_cast<const uint16_t*>(in) + begin, out + begin, size, white);
    });
}

void luma(const uint8_t* in, float* out, int64_t count, const int32_t (&weights)[3], float white) {
    const auto red = static_cast<float>(weights[0]), green = static_cast<float>(weights[1]),
               blue = static_cast<float>(weights[2]);
    parallel_for(ceil_div(count, task_pixels), 0, [&](int64_t task, void*) {
        const int64_t end = min(count, (task + 1) * task_pixels);
        for (int64_t i = task * task_pixels; i < end; ++i) {
            // Exact: 255 times weights of at most 2^16 in all, which floats hold to the last unit.
            const auto r = static_cast<float>(in[3 * i]), g = static_cast<float>(in[3 * i + 1]),
                       b = static_cast<float>(in[3 * i + 2]);
            out[i] = (red * r + green * g + blue * b) / white;
        }
    });
}

}  // namespace attar::ATTAR_ISA
