#include "parallel.h"
#include "operations.h"
#include "simd.h"

namespace attar::ATTAR_ISA {

template <class T>
void relu(const T* in, T* out, int64_t count) {
    constexpr int64_t L = lanes<T>;
    constexpr int64_t per_task = int64_t{1} << 15;
    const int64_t tasks = (count + per_task - 1) / per_task;
    parallel_for(tasks, 0, [=](int64_t task, void*) {
        const int64_t end = min(count, (task + 1) * per_task);
        int64_t i = task * per_task;
        for (; i + L <= end; i += L) store(out + i, relu<T>(load(in + i)));
        for (; i < end; ++i) out[i] = T{0} > in[i] ? T{0} : in[i];
    });
}

template void relu(const float*, float*, int64_t);
template void relu(const double*, double*, int64_t);

}  // namespace attar::ATTAR_ISA
