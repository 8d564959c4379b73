// The operations of one instruction set, as table.cpp collects them.
#pragma once

#include "kernels.h"

namespace attar::ATTAR_ISA {

template <class T>
void extract(const Images<const T>& in, const Images<T>& out, const Convolution<T>& conv,
             const Pool& pool);

template <class T>
int64_t packed_size(ConvPath, const Convolution<T>& conv);
template <class T>
void pack(ConvPath, const Convolution<T>& conv, T* packed);
template <class T>
void convolve(ConvPath, const T* packed, const Images<const T>& in, const Images<T>& out,
              const Convolution<T>& conv, const Pool& pool);
template <class T>
Workspace workspace(ConvPath, const Images<const T>& in, const Images<T>& out,
                    const Convolution<T>& conv, const Pool& pool);
template <class T>
ConvPath fastest_path(int64_t images, const Convolution<T>& conv, const Pool& pool);

template <class T>
void conv_filter_grad(const Images<const T>& grad, const AnyInput& winners, int winner_bytes,
                      const Images<const T>& in, const Convolution<T>& conv, const Pool& pool,
                      T* filters, T* bias);
template <class T>
void conv_input_grad(const Images<const T>& grad, const AnyInput& winners, int winner_bytes,
                     const Convolution<T>& conv, const Pool& pool, const Images<T>& out);

void copy(int bytes, const AnyInput& in, const AnyOutput& out);
void scale(int bytes, const void* in, float* out, int64_t count, float white);
void luma(const uint8_t* in, float* out, int64_t count, const int32_t (&weights)[3], float white);
void relu(Number, const void* in, void* out, int64_t count);
void relu_grad(Number, const void* grad, const void* features, void* out, int64_t count);
void max_pool(Number, const AnyInput& in, const AnyOutput& out, const Pool& pool);
void sum_pool(Number, const AnyInput& in, const AnyOutput& out, const Pool& pool);
void pool_winners(Number, const AnyInput& in, const AnyOutput& out, const AnyOutput& winners,
                  int winner_bytes, const Pool& pool, bool rectified);
void max_pool_grad(Number, const AnyInput& grad, const AnyInput& winners, int winner_bytes,
                   const AnyOutput& out, const Pool& pool);
void sum_pool_grad(Number, const AnyInput& grad, const AnyOutput& out, const Pool& pool);
void blur(Number, const AnyInput& in, const AnyOutput& out, const Blur& blur);
void blur_grad(Number, const AnyInput& grad, const AnyOutput& out, const Blur& blur);

// Whether `channels` side by side fill a vector: then the lanes hold channels, else pixels.
template <class T>
bool lanes_hold_channels(const Images<T>& out, int64_t channels, int64_t vector_lanes) {
    return out.c_stride == 1 && channels >= vector_lanes;
}

}  // namespace attar::ATTAR_ISA
