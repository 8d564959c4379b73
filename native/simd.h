// One small vector type over the compiler's vector extensions.
//
// A kernel is written once with Vec<T> and compiled once per instruction set; the width follows
// from the flags of that compilation. Everything here lives in the namespace of the instruction
// set (ATTAR_ISA), so that the linker can never hand a kernel for one processor to another.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "operands.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define ATTAR_VECTOR_BYTES 64
#define ATTAR_REGISTERS 32
#elif defined(__AVX__)
#include <immintrin.h>
#define ATTAR_VECTOR_BYTES 32
#define ATTAR_REGISTERS 16
#elif defined(__x86_64__)
#include <immintrin.h>
#define ATTAR_VECTOR_BYTES 16
#define ATTAR_REGISTERS 14  // of 16: without a fused multiply-add, products need some too
#else
#define ATTAR_VECTOR_BYTES 16
#define ATTAR_REGISTERS 32
#endif

namespace attar::ATTAR_ISA {

template <class T>
struct VecOf {
    typedef T type __attribute__((vector_size(ATTAR_VECTOR_BYTES)));
    // The same vector at any address and over any object: what loads and stores go through.
    typedef T memory __attribute__((vector_size(ATTAR_VECTOR_BYTES), aligned(1), may_alias));
};

template <class T>
using Vec = typename VecOf<T>::type;

template <class T>
inline constexpr int64_t lanes = ATTAR_VECTOR_BYTES / sizeof(T);

template <size_t value>
struct Constant {
    constexpr size_t operator()() const { return value; }
};

template <class T>
inline constexpr bool is_float = static_cast<T>(0.5) != 0;

template <class T>
ATTAR_INLINE Vec<T> load(const T* from) {
    return *reinterpret_cast<const typename VecOf<T>::memory*>(from);
}

template <class T>
ATTAR_INLINE void store(T* to, Vec<T> v) {
    *reinterpret_cast<typename VecOf<T>::memory*>(to) = v;
}

// The lanes i with begin <= i < end, and 0 in the others, whose memory is not touched. Not
// everywhere: without masks a copy with a margin is faster than this would be.
#if defined(__AVX2__)
inline constexpr bool has_masked_loads = true;

template <class T>
ATTAR_INLINE Vec<T> load_between(const T* from, int64_t begin, int64_t end) {
    constexpr int64_t L = lanes<T>;
    begin = begin < 0 ? 0 : begin > L ? L : begin;
    end = end < begin ? begin : end > L ? L : end;
#if defined(__AVX512F__)
    const auto mask = ((1u << end) - 1) & ~((1u << begin) - 1);
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
    else
        return (Vec<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), from);
#else
    if constexpr (sizeof(T) == 4) {
        const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(end)), lane);
        const __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(begin)), lane);
        return (Vec<T>)_mm256_maskload_ps(from, _mm256_andnot_si256(before, below));
    } else {
        const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
        const __m256i below = _mm256_cmpgt_epi64(_mm256_set1_epi64x(end), lane);
        const __m256i before = _mm256_cmpgt_epi64(_mm256_set1_epi64x(begin), lane);
        return (Vec<T>)_mm256_maskload_pd(from, _mm256_andnot_si256(before, below));
    }
#endif
}
#else
inline constexpr bool has_masked_loads = false;

template <class T>
Vec<T> load_between(const T*, int64_t, int64_t);
#endif

// The first `count` lanes, 0 < count <= lanes<T>.
template <class T>
ATTAR_INLINE void store_first(T* to, Vec<T> v, int64_t count) {
    if (count == lanes<T>) {
        store(to, v);
        return;
    }
#if defined(__AVX512BW__)
    const uint64_t mask = (uint64_t{1} << count) - 1;
    if constexpr (sizeof(T) == 1)
        _mm512_mask_storeu_epi8(to, mask, (__m512i)v);
    else if constexpr (sizeof(T) == 2)
        _mm512_mask_storeu_epi16(to, static_cast<__mmask32>(mask), (__m512i)v);
    else if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_epi32(to, static_cast<__mmask16>(mask), (__m512i)v);
    else
        _mm512_mask_storeu_epi64(to, static_cast<__mmask8>(mask), (__m512i)v);
#else
    // Pieces of 16, 8, ... bytes: a memcpy of unknown length would be a call.
    const auto bytes = static_cast<size_t>(count) * sizeof(T);
    const char* from = reinterpret_cast<const char*>(&v);
    char* target = reinterpret_cast<char*>(to);
    size_t done = 0;
    const auto piece = [&](auto size) {
        if (bytes & size()) {
            std::memcpy(target + done, from + done, size());
            done += size();
        }
    };
    piece(Constant<16>{});
    piece(Constant<8>{});
    piece(Constant<4>{});
    piece(Constant<2>{});
    piece(Constant<1>{});
#endif
}

template <class T>
ATTAR_INLINE Vec<T> broadcast(T value) {
    return value - Vec<T>{};
}

ATTAR_INLINE int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
ATTAR_INLINE int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
// How many pieces of this size hold so many.
ATTAR_INLINE int64_t ceil_div(int64_t count, int64_t size) { return (count + size - 1) / size; }
ATTAR_INLINE int64_t round_up(int64_t value, int64_t multiple) {
    return ceil_div(value, multiple) * multiple;
}

// Keeps a value in its register. Left alone, the compiler repeats a load or a broadcast in front
// of every use, and loads are what a convolution has the least of.
template <class T>
ATTAR_INLINE Vec<T> pinned(Vec<T> v) {
#if defined(__x86_64__)
    asm volatile("" : "+v"(v));
#elif defined(__aarch64__)
    asm volatile("" : "+w"(v));
#endif
    return v;
}

// a > b ? a : b, which is b where either is NaN. As one instruction: compilers make two of the
// comparison, since they do not see that it is the processor's own maximum.
template <class T>
ATTAR_INLINE Vec<T> larger(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
    // With a mask of ones, since GCC 12 warns of the operand that its header leaves undefined.
    if constexpr (is_float<T> && sizeof(T) == 4)
        return (Vec<T>)_mm512_mask_max_ps((__m512)a, 0xffff, (__m512)a, (__m512)b);
    else if constexpr (is_float<T>)
        return (Vec<T>)_mm512_mask_max_pd((__m512d)a, 0xff, (__m512d)a, (__m512d)b);
#elif defined(__AVX__)
    if constexpr (is_float<T> && sizeof(T) == 4)
        return (Vec<T>)_mm256_max_ps((__m256)a, (__m256)b);
    else if constexpr (is_float<T>)
        return (Vec<T>)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined(__x86_64__)
    if constexpr (is_float<T> && sizeof(T) == 4)
        return (Vec<T>)_mm_max_ps((__m128)a, (__m128)b);
    else if constexpr (is_float<T>)
        return (Vec<T>)_mm_max_pd((__m128d)a, (__m128d)b);
#endif
    return a > b ? a : b;
}

template <class T>
ATTAR_INLINE T larger(T a, T b) {
    return a > b ? a : b;
}

// max(a, b), NaN where either is NaN.
template <class T>
ATTAR_INLINE Vec<T> max_nan(Vec<T> a, Vec<T> b) {
    if constexpr (is_float<T>)
        return a == a ? larger<T>(a, b) : a;
    else
        return larger<T>(a, b);
}

template <class T>
ATTAR_INLINE T max_nan(T a, T b) {
    const T larger = a > b ? a : b;
    return a == a ? larger : a;
}

// max(x, 0), NaN where x is NaN.
template <class T>
ATTAR_INLINE Vec<T> relu(Vec<T> x) {
    return larger<T>(Vec<T>{}, x);
}

// The even and the odd lanes of the two vectors a, b laid end to end: lanes 2 * i + first.
#define ATTAR_EVERY_2(i) 2 * (i) + first, 2 * (i) + 2 + first
#define ATTAR_EVERY_4(i) ATTAR_EVERY_2(i), ATTAR_EVERY_2((i) + 2)
#define ATTAR_EVERY_8(i) ATTAR_EVERY_4(i), ATTAR_EVERY_4((i) + 4)
#define ATTAR_EVERY_16(i) ATTAR_EVERY_8(i), ATTAR_EVERY_8((i) + 8)
#define ATTAR_EVERY_32(i) ATTAR_EVERY_16(i), ATTAR_EVERY_16((i) + 16)

template <int first, class T>
ATTAR_INLINE Vec<T> every_other_lane(Vec<T> a, Vec<T> b) {
    if constexpr (lanes<T> == 64)
        return __builtin_shufflevector(a, b, ATTAR_EVERY_32(0), ATTAR_EVERY_32(32));
    else if constexpr (lanes<T> == 32)
        return __builtin_shufflevector(a, b, ATTAR_EVERY_32(0));
    else if constexpr (lanes<T> == 16)
        return __builtin_shufflevector(a, b, ATTAR_EVERY_16(0));
    else if constexpr (lanes<T> == 8)
        return __builtin_shufflevector(a, b, ATTAR_EVERY_8(0));
    else if constexpr (lanes<T> == 4)
        return __builtin_shufflevector(a, b, ATTAR_EVERY_4(0));
    else
        return __builtin_shufflevector(a, b, ATTAR_EVERY_2(0));
}

// Lanes shift, shift + 1, ... of the two vectors laid end to end.
#define ATTAR_FROM_2(i) (i) + shift, (i) + 1 + shift
#define ATTAR_FROM_4(i) ATTAR_FROM_2(i), ATTAR_FROM_2((i) + 2)
#define ATTAR_FROM_8(i) ATTAR_FROM_4(i), ATTAR_FROM_4((i) + 4)
#define ATTAR_FROM_16(i) ATTAR_FROM_8(i), ATTAR_FROM_8((i) + 8)
#define ATTAR_FROM_32(i) ATTAR_FROM_16(i), ATTAR_FROM_16((i) + 16)

template <int shift, class T>
ATTAR_INLINE Vec<T> shifted(Vec<T> a, Vec<T> b) {
    if constexpr (lanes<T> == 64)
        return __builtin_shufflevector(a, b, ATTAR_FROM_32(0), ATTAR_FROM_32(32));
    else if constexpr (lanes<T> == 32)
        return __builtin_shufflevector(a, b, ATTAR_FROM_32(0));
    else if constexpr (lanes<T> == 16)
        return __builtin_shufflevector(a, b, ATTAR_FROM_16(0));
    else if constexpr (lanes<T> == 8)
        return __builtin_shufflevector(a, b, ATTAR_FROM_8(0));
    else if constexpr (lanes<T> == 4)
        return __builtin_shufflevector(a, b, ATTAR_FROM_4(0));
    else
        return __builtin_shufflevector(a, b, ATTAR_FROM_2(0));
}

template <class T>
ATTAR_INLINE Vec<T> even_lanes(Vec<T> a, Vec<T> b) {
    return every_other_lane<0, T>(a, b);
}

template <class T>
ATTAR_INLINE Vec<T> odd_lanes(Vec<T> a, Vec<T> b) {
    return every_other_lane<1, T>(a, b);
}

// The lanes of a and b by turns: the first and the second half of them.
template <class T>
ATTAR_INLINE Vec<T> first_by_turns(Vec<T> a, Vec<T> b) {
    if constexpr (lanes<T> == 16)
        return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                                       23);
    else if constexpr (lanes<T> == 8)
        return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    else if constexpr (lanes<T> == 4)
        return __builtin_shufflevector(a, b, 0, 4, 1, 5);
    else
        return __builtin_shufflevector(a, b, 0, 2);
}

template <class T>
ATTAR_INLINE Vec<T> second_by_turns(Vec<T> a, Vec<T> b) {
    if constexpr (lanes<T> == 16)
        return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
                                       15, 31);
    else if constexpr (lanes<T> == 8)
        return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    else if constexpr (lanes<T> == 4)
        return __builtin_shufflevector(a, b, 2, 6, 3, 7);
    else
        return __builtin_shufflevector(a, b, 1, 3);
}

}  // namespace attar::ATTAR_ISA
