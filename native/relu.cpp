#include "numbers.h"
#include "operations.h"
#include "parallel.h"

namespace attar::ATTAR_ISA {
namespace {

template <class T>
void relu_of(const T* in, T* out, int64_t count) {
    using W = Wide<T>;
    constexpr int64_t L = lanes<W>;
    constexpr int64_t per_task = int64_t{1} << 15;
    const int64_t tasks = (count + per_task - 1) / per_task;
    parallel_for(tasks, 0, [=](int64_t task, void*) {
        const int64_t end = min(count, (task + 1) * per_task);
        int64_t i = task * per_task;
        for (; i + L <= end; i += L) store_as<W>(out + i, relu<W>(load_as<W>(in + i)));
        for (; i < end; ++i) {
            const W value = widen(in[i]);
            out[i] = narrow<T>(W{0} > value ? W{0} : value);
        }
    });
}

}  // namespace

void relu(Number number, const void* in, void* out, int64_t count) {
    with_type(number, [&](auto zero) {
        using T = decltype(zero);
        relu_of(static_cast<const T*>(in), static_cast<T*>(out), count);
    });
}

}  // namespace attar::ATTAR_ISA
