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
    const int32_t red = weights[0], green = weights[1], blue = weights[2];
    parallel_for(ceil_div(count, task_pixels), 0, [&](int64_t task, void*) {
        const int64_t end = min(count, (task + 1) * task_pixels);
        for (int64_t i = task * task_pixels; i < end; ++i) {
            // 255 times weights of at most 2^16 in all is exact, as a whole number and as a float.
            const int32_t sum = red * in[3 * i] + green * in[3 * i + 1] + blue * in[3 * i + 2];
            out[i] = static_cast<float>(sum) / white;
        }
    });
}

}  // namespace attar::ATTAR_ISA
