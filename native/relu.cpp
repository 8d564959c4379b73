#include "numbers.h"
#include "operations.h"
#include "parallel.h"

namespace attar::ATTAR_ISA {
namespace {

// Calls body(begin, end) for parts of `count` numbers.
template <class Body>
void for_parts(int64_t count, const Body& body) {
    constexpr int64_t per_task = int64_t{1} << 15;
    parallel_for(ceil_div(count, per_task), 0, [&](int64_t task, void*) {
        body(task * per_task, min(count, (task + 1) * per_task));
    });
}

template <class T>
void relu_of(const T* in, T* out, int64_t count) {
    using W = Wide<T>;
    constexpr int64_t L = lanes<W>;
    for_parts(count, [=](int64_t i, int64_t end) {
        for (; i + L <= end; i += L) store_as<W>(out + i, relu<W>(load_as<W>(in + i)));
        for (; i < end; ++i) {
            const W value = widen(in[i]);
            out[i] = narrow<T>(W{0} > value ? W{0} : value);
        }
    });
}

template <class T>
void relu_grad_of(const T* grad, const T* features, T* out, int64_t count) {
    using W = Wide<T>;
    constexpr int64_t L = lanes<W>;
    for_parts(count, [=](int64_t i, int64_t end) {
        for (; i + L <= end; i += L)
            store_as<W>(out + i, load_as<W>(features + i) <= Vec<W>{} ? Vec<W>{}
                                                                      : load_as<W>(grad + i));
        for (; i < end; ++i) out[i] = widen(features[i]) <= 0 ? T{} : grad[i];
    });
}

}  // namespace

void relu(Number number, const void* in, void* out, int64_t count) {
    with_type(number, [&](auto zero) {
        using T = decltype(zero);
        relu_of(static_cast<const T*>(in), static_cast<T*>(out), count);
    });
}

void relu_grad(Number number, const void* grad, const void* features, void* out, int64_t count) {
    with_float_type(number, [&](auto zero) {
        using T = decltype(zero);
        relu_grad_of(static_cast<const T*>(grad), static_cast<const T*>(features),
                     static_cast<T*>(out), count);
    });
}

}  // namespace attar::ATTAR_ISA
