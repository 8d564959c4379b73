// Results on their way to memory that is larger than the caches: they pass them by.
//
// A store to memory that is not in a cache first reads the line that it writes into. Where whole
// lines are written with stores that bypass the caches, that reading is saved, and what the caches
// hold stays in them. Such stores need aligned vectors, so results are gathered in a small stage.
#pragma once

#include <cstdint>
#include <cstring>

#include "simd.h"

namespace attar::ATTAR_ISA {

class Streamed {
  public:
    static constexpr int64_t stage_bytes = 4 << 10;

    // Whether an answer is too large to stay in a cache anyway.
    template <class T>
    static bool worthwhile(const Images<T>& out) {
        return out.n * out.depth * out.height * out.width * out.channels * int64_t{sizeof(T)} >=
               12 << 20;
    }

    // Whether its pixels may be written vector by vector with `store`, too.
    template <class T>
    static bool takes(const Images<T>& out) {
        constexpr int64_t L = lanes<T>;
        return worthwhile(out) && reinterpret_cast<uintptr_t>(out.data) % line == 0 &&
               out.n_stride % L == 0 && out.y_stride % L == 0 && out.x_stride % L == 0;
    }

    // Aligned, and with a `fence` before others read it.
    template <class T>
    static ATTAR_INLINE void store(T* to, Vec<T> value) {
#if defined(__AVX512F__)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)value);
#elif defined(__AVX__)
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)value);
#elif defined(__x86_64__)
        _mm_stream_si128(reinterpret_cast<__m128i*>(to), (__m128i)value);
#else
        attar::ATTAR_ISA::store(to, value);
#endif
    }

    // Everything so far is in memory, for every thread to see.
    static ATTAR_INLINE void fence() {
#if defined(__x86_64__)
        _mm_sfence();
#endif
    }

    // `stage` is aligned to vectors, and has room for `stage_bytes` and what is asked for at once.
    explicit Streamed(char* stage) : stage_(stage) {}

    // Where to put the next `bytes` bytes, which go to `to`.
    template <class T>
    T* room(T* to, int64_t bytes) {
        char* const target = reinterpret_cast<char*>(to);
        if (!to_ || target != to_ + filled_) {
            finish();
            to_ = target;
        } else if (filled_ >= stage_bytes) {
            flush();
        }
        char* const at = stage_ + filled_;
        filled_ += bytes;
        return reinterpret_cast<T*>(at);
    }

    void finish() {
        if (filled_) {
            flush();
            std::memcpy(to_, stage_, static_cast<size_t>(filled_));
        }
        to_ = nullptr;
        filled_ = 0;
        fence();
    }

  private:
    static constexpr int64_t line = ATTAR_VECTOR_BYTES;

    // Writes what fills whole vectors, and keeps the rest.
    void flush() {
        int64_t i = -reinterpret_cast<intptr_t>(to_) & (line - 1);
        if (i > filled_) return;
        std::memcpy(to_, stage_, static_cast<size_t>(i));
        for (; i + line <= filled_; i += line) store(to_ + i, load(stage_ + i));
        filled_ -= i;
        std::memmove(stage_, stage_ + i, static_cast<size_t>(filled_));
        to_ += i;
    }

    char* stage_;
    char* to_ = nullptr;
    int64_t filled_ = 0;
};

}  // namespace attar::ATTAR_ISA
