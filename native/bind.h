// What the files that know Python have in common: arrays, axes and pools as Python holds them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <vector>

#include "dispatch.h"

namespace attar {

namespace nb = nanobind;

using Input = nb::ndarray<nb::ro, nb::device::cpu>;
using Output = nb::ndarray<nb::device::cpu>;

inline void require(bool condition, const char* message) {
    if (!condition) throw nb::value_error(message);
}

constexpr int64_t largest = int64_t{1} << 40;  // of any one number: products stay in 64 bits

// Axis and Pool as Python holds them: with the bounds that they point to.
using Bounds = std::shared_ptr<const std::vector<int64_t>>;

struct OwnedAxis {
    Axis axis;
    Bounds bounds;
};

struct OwnedPool {
    Pool pool;
    Bounds bounds[3];
};

// The array as images: (n, depth, height, width, channels), any strides.
template <class T, class Array>
Images<T> images(const Array& array) {
    require(array.ndim() == 5, "expected an array of rank 5");
    int64_t size[5], stride[5];
    for (size_t i = 0; i < 5; ++i) {
        size[i] = static_cast<int64_t>(array.shape(i));
        stride[i] = array.stride(i);
    }
    return {static_cast<T*>(const_cast<void*>(static_cast<const void*>(array.data()))),
            size[0], size[1], size[2], size[3], size[4],
            stride[0], stride[1], stride[2], stride[3], stride[4]};
}

inline void require_axis(int64_t in, int64_t out, const Axis& in_axis, const Axis& out_axis) {
    require(in == in_axis.in, "the axes do not fit the input");
    require(out == out_axis.out, "the axes do not fit the output");
}

template <class Array>
bool contiguous(const Array& array) {
    int64_t expected = 1;
    for (size_t i = array.ndim(); i-- > 0;) {
        if (array.shape(i) != 1 && array.stride(i) != expected) return false;
        expected *= static_cast<int64_t>(array.shape(i));
    }
    return true;
}

template <class T>
const Operations<T>& operations() {
    if constexpr (sizeof(T) == sizeof(float))
        return kernels().f32;
    else
        return kernels().f64;
}

// The convolutions with packed filters (bind_conv.cpp).
void bind_conv(nb::module_& m);

}  // namespace attar
