// The thread pool: a few workers, one job at a time, no runtime of anybody else's.
//
// A job is a count of independent tasks. Threads take the next task until none is left, so the
// result cannot depend on how many threads there are. While the pool is busy with another
// caller's job, a caller does all of its own tasks itself. A forked child starts with a fresh pool.
#pragma once

#include <cstddef>
#include <cstdint>

namespace attar {

// Processors this process may use: affinity mask, cgroup quota and ATTAR_NUM_THREADS considered.
int default_num_threads();
int get_num_threads();
void set_num_threads(int count);  // count >= 1

using Task = void (*)(void* context, int64_t index, void* scratch);

// Runs task(context, i, scratch) for every i in [0, count). `scratch` is `scratch_bytes` of
// memory, aligned to 64 bytes, that belongs to the running thread until its task returns.
// Throws std::bad_alloc if the calling thread cannot have it; a worker that cannot stays out.
void run_tasks(int64_t count, size_t scratch_bytes, Task task, void* context);

template <class Body>
void parallel_for(int64_t count, size_t scratch_bytes, const Body& body) {
    run_tasks(
        count, scratch_bytes,
        [](void* context, int64_t index, void* scratch) {
            (*static_cast<const Body*>(context))(index, scratch);
        },
        const_cast<Body*>(&body));
}

}  // namespace attar
