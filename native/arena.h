// Memory for kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace attar::ATTAR_ISA {

// Lays arrays out one behind the other in scratch memory. Over a null base it only adds up, so
// the same lines of code tell how much memory is needed and hand it out.
class Arena {
  public:
    explicit Arena(void* base) : base_(static_cast<char*>(base)) {}

    template <class T>
    T* take(int64_t count) {
        T* at = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
        used_ += (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
        return at;
    }

    size_t used() const { return used_; }

  private:
    char* base_;
    size_t used_ = 0;
};

// An array that lives as long as a call. Not std::vector: the linker keeps one copy of a
// template's code for the whole library, and that copy could be of another instruction set.
template <class T>
class Buffer {
  public:
    explicit Buffer(int64_t count)
        : data_(static_cast<T*>(
              std::aligned_alloc(64, (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64))) {
        if (!data_) throw std::bad_alloc();
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data_); }

    T* data() { return data_; }
    const T* data() const { return data_; }

  private:
    T* data_;
};

}  // namespace attar::ATTAR_ISA
