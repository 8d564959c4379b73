// The types of numbers that arrays hold, and the way between them and those that are computed with.
//
// half and bfloat are read as float and rounded to nearest even when they are written.
#pragma once

#include "simd.h"

namespace attar::ATTAR_ISA {

struct Half {
    uint16_t bits;
};
struct BFloat {
    uint16_t bits;
};

// What sums of T are computed in.
template <class T>
struct WideOf {
    using type = T;
};
template <>
struct WideOf<Half> {
    using type = float;
};
template <>
struct WideOf<BFloat> {
    using type = float;
};
template <class T>
using Wide = typename WideOf<T>::type;

template <class A, class B>
inline constexpr bool same = false;
template <class A>
inline constexpr bool same<A, A> = true;

// As many S as there are lanes of T in a vector: a vector of another size.
template <class S, class T>
struct PartOf {
    typedef S type __attribute__((vector_size(sizeof(S) * ATTAR_VECTOR_BYTES / sizeof(T))));
    typedef S memory __attribute__((vector_size(sizeof(S) * ATTAR_VECTOR_BYTES / sizeof(T)),
                                    aligned(1), may_alias));
};

template <class S, class T>
using Part = typename PartOf<S, T>::type;

template <class S, class T>
ATTAR_INLINE Part<S, T> load_part(const void* from) {
    return *static_cast<const typename PartOf<S, T>::memory*>(from);
}

template <class S, class T>
ATTAR_INLINE void store_part(void* to, Part<S, T> v) {
    *static_cast<typename PartOf<S, T>::memory*>(to) = v;
}

// ------------------------------------------------------------------------ half and bfloat

// V is Vec<uint32_t> or uint32_t, and F the floats of the same bits.
template <class V>
ATTAR_INLINE V choose(V condition, V yes, V no) {
    return (condition & yes) | (~condition & no);
}
ATTAR_INLINE Vec<uint32_t> all_ones_if(Vec<uint32_t> a, Vec<uint32_t> at_least) {
    return (Vec<uint32_t>)(a >= at_least);
}
ATTAR_INLINE uint32_t all_ones_if(uint32_t a, uint32_t at_least) {
    return a >= at_least ? ~uint32_t{0} : 0;
}
ATTAR_INLINE Vec<float> as_float(Vec<uint32_t> bits) { return (Vec<float>)bits; }
ATTAR_INLINE Vec<uint32_t> as_bits(Vec<float> value) { return (Vec<uint32_t>)value; }
ATTAR_INLINE float as_float(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
ATTAR_INLINE uint32_t as_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
template <class V>
ATTAR_INLINE V every(uint32_t value) {
    return V{} + value;
}

// IEEE 754 binary16 -> binary32. The exponent is rebased by a multiplication, which is exact for
// subnormal numbers too.
template <class V>
ATTAR_INLINE V half_to_float_bits(V half) {
    const V sign = (half & 0x8000u) << 16, magnitude = (half & 0x7fffu) << 13;
    const V finite = as_bits(as_float(magnitude) * 0x1p112f);
    const V special = all_ones_if(magnitude, every<V>(0x7c00u << 13));
    return choose(special, magnitude | 0x7f800000u, finite) | sign;
}

// binary32 -> binary16, to nearest even.
template <class V>
ATTAR_INLINE V float_bits_to_half(V bits) {
    const V sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    // Subnormal: adding a half moves the last bit of the result to the last bit of the float.
    const V tiny = as_bits(as_float(magnitude) + 0.5f) - 0x3f000000u;
    const V odd = (magnitude >> 13) & 1u;
    const V normal = (magnitude - 0x38000000u + 0xfffu + odd) >> 13;
    const V nan = all_ones_if(magnitude, every<V>(0x7f800001u));
    const V large = choose(nan, every<V>(0x7e00u), every<V>(0x7c00u));
    const V finite = choose(all_ones_if(magnitude, every<V>(0x38800000u)), normal, tiny);
    return choose(all_ones_if(magnitude, every<V>(0x47800000u)), large, finite) | sign;
}

template <class V>
ATTAR_INLINE V float_bits_to_bfloat(V bits) {
    const V rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const V nan = all_ones_if(bits & 0x7fffffffu, every<V>(0x7f800001u));
    return choose(nan, (bits >> 16) | 0x40u, rounded);
}

// ------------------------------------------------------------------------ read and write

// Bytes to four times their width, by name: compilers do it number by number.
template <class W>
ATTAR_INLINE Vec<W> widen_bytes(Part<uint8_t, W> v) {
#if defined(__AVX512F__)
    return (Vec<W>)_mm512_maskz_cvtepu8_epi32(0xffff, (__m128i)v);
#elif defined(__AVX2__)
    return (Vec<W>)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)v));
#elif defined(__SSE4_1__)
    return (Vec<W>)_mm_cvtepu8_epi32(_mm_cvtsi32_si128((int32_t)v));
#else
    return __builtin_convertvector(v, Vec<W>);
#endif
}

// lanes<W> numbers, as W.
template <class W, class T>
ATTAR_INLINE Vec<W> load_as(const T* from) {
    if constexpr (same<W, T>) {
        return load(from);
    } else if constexpr (same<T, Half>) {
#if defined(__AVX512F__)
        return (Vec<float>)_mm512_maskz_cvtph_ps(
            0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
        return (Vec<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
        return as_float(half_to_float_bits(
            __builtin_convertvector(load_part<uint16_t, float>(from), Vec<uint32_t>)));
#endif
    } else if constexpr (same<T, BFloat>) {
        return as_float(
            __builtin_convertvector(load_part<uint16_t, float>(from), Vec<uint32_t>) << 16);
    } else if constexpr (same<T, uint8_t> && sizeof(W) == 4 && !is_float<W>) {
        return widen_bytes<W>(load_part<T, W>(from));
    } else {
        return __builtin_convertvector((load_part<T, W>(from)), Vec<W>);
    }
}

template <class W, class T>
ATTAR_INLINE void store_as(T* to, Vec<W> v) {
    if constexpr (same<W, T>) {
        store(to, v);
    } else if constexpr (same<T, Half>) {
#if defined(__AVX512F__)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                            _mm512_maskz_cvtps_ph(0xffff, (__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                         _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
        store_part<uint16_t, float>(to, __builtin_convertvector(float_bits_to_half(as_bits(v)),
                                                                Part<uint16_t, float>));
#endif
    } else if constexpr (same<T, BFloat>) {
        store_part<uint16_t, float>(to, __builtin_convertvector(float_bits_to_bfloat(as_bits(v)),
                                                                Part<uint16_t, float>));
#if defined(__AVX512F__)
    // By name: compilers narrow by more than a half number by number.
    } else if constexpr (sizeof(W) == 8 && sizeof(T) == 1) {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to),
                         _mm512_maskz_cvtepi64_epi8(0xff, (__m512i)v));
    } else if constexpr (sizeof(W) == 8 && sizeof(T) == 2) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                         _mm512_maskz_cvtepi64_epi16(0xff, (__m512i)v));
#endif
    } else {
        store_part<T, W>(to, __builtin_convertvector(v, Part<T, W>));
    }
}

// The first `count` of them, 0 < count <= lanes<W>.
template <class W, class T>
ATTAR_INLINE void store_first_as(T* to, Vec<W> v, int64_t count) {
    if constexpr (same<W, T>) {
        store_first(to, v, count);
    } else {
        T lane[lanes<W>];
        store_as<W>(lane, v);
        for (int64_t i = 0; i < count; ++i) to[i] = lane[i];
    }
}

template <class T>
ATTAR_INLINE Wide<T> widen(T value) {
    if constexpr (same<T, Half>)
        return as_float(half_to_float_bits(uint32_t{value.bits}));
    else if constexpr (same<T, BFloat>)
        return as_float(uint32_t{value.bits} << 16);
    else
        return value;
}

template <class T>
ATTAR_INLINE T narrow(Wide<T> value) {
    if constexpr (same<T, Half>)
        return {static_cast<uint16_t>(float_bits_to_half(as_bits(value)))};
    else if constexpr (same<T, BFloat>)
        return {static_cast<uint16_t>(float_bits_to_bfloat(as_bits(value)))};
    else
        return value;
}

// ------------------------------------------------------------------------ from Number to type

// Calls run(T{}) with the floating-point type that `number` names.
template <class Run>
ATTAR_INLINE void with_float_type(Number number, const Run& run) {
    switch (number) {
        case Number::f32: return run(float{});
        case Number::f64: return run(double{});
        case Number::f16: return run(Half{});
        case Number::bf16: return run(BFloat{});
        default: return;
    }
}

// Calls run(T{}) with the type that `number` names.
template <class Run>
ATTAR_INLINE void with_type(Number number, const Run& run) {
    switch (number) {
        case Number::i8: return run(int8_t{});
        case Number::i16: return run(int16_t{});
        case Number::i32: return run(int32_t{});
        case Number::i64: return run(int64_t{});
        case Number::u8: return run(uint8_t{});
        case Number::u16: return run(uint16_t{});
        case Number::u32: return run(uint32_t{});
        case Number::u64: return run(uint64_t{});
        default: return with_float_type(number, run);
    }
}

}  // namespace attar::ATTAR_ISA
