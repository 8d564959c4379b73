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

// Weighted sums of red, green and blue, divided by `white`.
//
// The sums are whole numbers below 2^24, which floats hold, and the quotients are rounded once.
struct Luma {
    int32_t red, green, blue;
    float white;

    // Pixels [begin, end) of `count`.
    void write(const uint8_t* in, float* out, int64_t begin, int64_t end, int64_t count) const {
        for (int64_t i = vectors(in, out, begin, end, count); i < end; ++i) {
            const uint8_t* pixel = in + 3 * i;
            const int32_t sum = red * pixel[0] + green * pixel[1] + blue * pixel[2];
            out[i] = static_cast<float>(sum) / white;
        }
    }

  private:
    // Writes the pixels that fill whole vectors; returns where the others begin.
#if defined(__AVX2__)
    int64_t vectors(const uint8_t* in, float* out, int64_t i, int64_t end, int64_t count) const {
        // Twelve bytes, four pixels, to each half; there, red beside green and blue beside nothing,
        // as products of 16 bits want them.
        const __m256i halves = _mm256_setr_epi32(0, 1, 2, 3, 3, 4, 5, 6);
        const __m256i first = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(0, -1, 1, -1, 3, -1, 4, -1, 6, -1, 7, -1, 9, -1, 10, -1));
        const __m256i last = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(2, -1, -1, -1, 5, -1, -1, -1, 8, -1, -1, -1, 11, -1, -1, -1));
        const __m256i pair = _mm256_set1_epi32(red | green << 16), single = _mm256_set1_epi32(blue);
        const __m256 whole = _mm256_set1_ps(white), part = _mm256_set1_ps(1 / white);
        for (; i + 8 <= end && 3 * i + 32 <= 3 * count; i += 8) {
            const __m256i bytes = _mm256_permutevar8x32_epi32(
                _mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(in + 3 * i)), halves);
            const __m256 sum = _mm256_cvtepi32_ps(
                _mm256_add_epi32(_mm256_madd_epi16(_mm256_shuffle_epi8(bytes, first), pair),
                                 _mm256_madd_epi16(_mm256_shuffle_epi8(bytes, last), single)));
            // The quotient by its remainder, which is as exact as a division (P. Markstein,
            // Computation of elementary functions on the IBM RISC System/6000 processor, 1990).
            const __m256 near = _mm256_mul_ps(sum, part);
            _mm256_storeu_ps(out + i,
                             _mm256_fmadd_ps(_mm256_fnmadd_ps(near, whole, sum), part, near));
        }
        return i;
    }
#else
    int64_t vectors(const uint8_t*, float*, int64_t begin, int64_t, int64_t) const { return begin; }
#endif
};

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
    const Luma sums{weights[0], weights[1], weights[2], white};
    parallel_for(ceil_div(count, task_pixels), 0, [&](int64_t task, void*) {
        sums.write(in, out, task * task_pixels, min(count, (task + 1) * task_pixels), count);
    });
}

}  // namespace attar::ATTAR_ISA
