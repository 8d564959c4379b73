#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif

namespace attar {
namespace {

constexpr int max_threads = 256;

// How long an idle worker looks for the next job before it sleeps: longer than the Python code
// between two calls in a loop (5 to 20 microseconds), shorter than anyone would notice as load.
constexpr int spins_before_sleep = 1000;

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

int affinity_count() {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1u, std::thread::hardware_concurrency());
}

// The processors that a cgroup's quota amounts to, or a large number where there is no quota.
// Read at the process's own group and at each of its parents (version 2), and at the place where
// containers mount version 1.
double cgroup_quota() {
    double limit = max_threads;
    auto consider = [&](double quota, double period) {
        if (quota > 0 && period > 0) limit = std::min(limit, quota / period);
    };
    auto read_v2 = [&](const std::string& folder) {
        std::ifstream file(folder + "/cpu.max");
        std::string quota;
        double period = 0;
        if (file >> quota >> period && quota != "max") consider(std::atof(quota.c_str()), period);
    };
    std::string line, group;
    for (std::ifstream file("/proc/self/cgroup"); std::getline(file, line);)
        if (line.rfind("0::", 0) == 0) group = line.substr(3);
    for (;;) {
        read_v2("/sys/fs/cgroup" + group);
        const auto slash = group.rfind('/');
        if (slash == std::string::npos) break;
        group.erase(slash);
    }
    double quota = 0, period = 0;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
    consider(quota, period);
    return limit;
}

// Memory that a thread keeps between tasks, so that a call costs no allocation.
class Scratch {
  public:
    ~Scratch() { std::free(data_); }

    // Null where the memory cannot be had.
    void* reserve(size_t bytes) {
        if (bytes > size_) {
            std::free(data_);
            size_ = (bytes + 4095) / 4096 * 4096;
            data_ = std::aligned_alloc(64, size_);
            if (!data_) size_ = 0;
        }
        return data_;
    }

    // A job with an unusual need does not leave its memory behind.
    void trim() {
        if (size_ <= kept_bytes) return;
        std::free(data_);
        data_ = nullptr;
        size_ = 0;
    }

  private:
    static constexpr size_t kept_bytes = size_t{8} << 20;
    void* data_ = nullptr;
    size_t size_ = 0;
};

thread_local Scratch thread_scratch;

struct Job {
    Task task = nullptr;
    void* context = nullptr;
    int64_t count = 0;
    size_t scratch_bytes = 0;
    int workers = 0;  // workers with a lower number take part
    std::atomic<int64_t> next{0};

    void run(void* scratch) {
        for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;)
            task(context, i, scratch);
    }
};

// One job at a time. A worker enters by counting itself in `inside_` and then looking whether
// the job is `open_`; the caller closes the job and then waits for `inside_` to be zero. Both
// are sequentially consistent, so a worker that wakes late either sees the job closed or is
// waited for; a job's memory is never touched after run() has returned.
class Pool {
  public:
    // False where another caller's job is running.
    bool try_run(int64_t count, size_t scratch_bytes, Task task, void* context, void* scratch,
                 int threads) {
        std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
        if (!lock) return false;
        start_workers(threads - 1);
        keep_off_processor_of_caller();
        job_.task = task;
        job_.context = context;
        job_.count = count;
        job_.scratch_bytes = scratch_bytes;
        job_.workers = threads - 1;
        job_.next.store(0, std::memory_order_relaxed);
        open_ = true;
        ++generation_;
        generation_.notify_all();
        job_.run(scratch);
        open_ = false;
        for (int spins = 0; inside_ != 0; ++spins) {
            if (spins < spins_before_sleep)
                pause();
            else
                std::this_thread::yield();
        }
        return true;
    }

  private:
    void start_workers(int wanted) {
        for (; started_ < wanted; ++started_) {
            try {
                std::thread worker([this, number = started_] { work(number); });
                workers_[started_] = worker.native_handle();
                worker.detach();
                avoided_ = -1;
            } catch (const std::system_error&) {
                return;  // fewer threads do the same work
            }
        }
    }

    // A scheduler likes to wake a thread where its waker runs, and may leave it waiting there while
    // another processor idles: a short job was over before its worker had begun. So workers may run
    // wherever the caller may, but not where it does now. It seldom moves.
    void keep_off_processor_of_caller() {
#if defined(__linux__)
        const int processor = sched_getcpu();
        if (processor < 0 || processor == avoided_) return;
        cpu_set_t set;
        CPU_ZERO(&set);
        if (sched_getaffinity(0, sizeof set, &set) != 0) return;
        CPU_CLR(processor, &set);
        if (CPU_COUNT(&set) == 0) return;
        for (int i = 0; i < started_; ++i) pthread_setaffinity_np(workers_[i], sizeof set, &set);
        avoided_ = processor;
#endif
    }

    void work(int number) {
        int seen = 0;
        for (;;) {
            int spins = 0;
            while (generation_ == seen) {
                if (spins++ < spins_before_sleep)
                    pause();
                else
                    generation_.wait(seen);
            }
            seen = generation_;
            ++inside_;
            if (open_ && number < job_.workers) {
                if (void* scratch = thread_scratch.reserve(job_.scratch_bytes)) job_.run(scratch);
                thread_scratch.trim();
            }
            --inside_;
        }
    }

    std::mutex busy_;
    Job job_;
    std::atomic<bool> open_{false};
    std::atomic<int> inside_{0};
    std::atomic<int> generation_{0};
    int started_ = 0;
    int avoided_ = -1;  // the processor that workers keep off, or -1
    pthread_t workers_[max_threads];
};

// Never destroyed: its workers may be asleep in it when the process ends.
std::atomic<Pool*> pool{nullptr};
std::atomic<int> num_threads{0};

Pool& the_pool() {
    if (Pool* existing = pool.load()) return *existing;
    static std::once_flag fork_handler;
    std::call_once(fork_handler, [] {
        // The workers do not exist in a forked child, and the lock may have been held.
        pthread_atfork(nullptr, nullptr, [] { pool.store(nullptr); });
    });
    Pool* fresh = new Pool;
    Pool* expected = nullptr;
    if (pool.compare_exchange_strong(expected, fresh)) return *fresh;
    delete fresh;
    return *expected;
}

}  // namespace

int default_num_threads() {
    if (const char* text = std::getenv("ATTAR_NUM_THREADS")) {
        char* end = nullptr;
        errno = 0;
        const long value = std::strtol(text, &end, 10);
        if (errno == 0 && end != text && *end == '\0' && value >= 1)
            return static_cast<int>(std::min<long>(value, max_threads));
        std::fprintf(stderr,
                     "attar: ATTAR_NUM_THREADS=%s is not a whole number of at least 1; ignored\n",
                     text);
    }
    const int quota = static_cast<int>(std::ceil(cgroup_quota()));
    return std::clamp(std::min(affinity_count(), quota), 1, max_threads);
}

int get_num_threads() {
    int count = num_threads.load();
    if (count == 0) {
        count = default_num_threads();
        num_threads.store(count);
    }
    return count;
}

void set_num_threads(int count) { num_threads.store(std::clamp(count, 1, max_threads)); }

void run_tasks(int64_t count, size_t scratch_bytes, Task task, void* context) {
    if (count <= 0) return;
    void* scratch = thread_scratch.reserve(std::max<size_t>(scratch_bytes, 1));
    if (!scratch) throw std::bad_alloc();
    const int threads = static_cast<int>(std::min<int64_t>(get_num_threads(), count));
    if (threads == 1 || !the_pool().try_run(count, scratch_bytes, task, context, scratch, threads))
        for (int64_t i = 0; i < count; ++i) task(context, i, scratch);
    thread_scratch.trim();
}

}  // namespace attar
