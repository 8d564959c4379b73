// The numbers of an image under one window of a convolution, as runs of vectors, and the two ways in
// which a gradient meets them: they are added to the gradient of a filter, or a filter is added
// to the gradient of the image there. Either way one operand stays in the registers.
#pragma once

#include <utility>

#include "map_grad.h"
#include "operands.h"
#include "simd.h"

namespace attar::ATTAR_ISA {

// Vectors that stay in registers beside a value and a number of the image.
inline constexpr int held_vectors = ATTAR_REGISTERS == 32 ? 24 : 12;

// Some vectors of one run, or of three runs that are equally far apart.
struct TapChunk {
    int64_t place, step;   // of the first number, from the window's first; from run to run
    int64_t packed, pitch; // the same among the taps of a packed filter
    int64_t vectors, runs; // 1 or 3 runs
    bool last;             // ends where the run ends, perhaps within a vector
};

// Runs: the channels of a pixel, or of all pixels under a row of the window where those are
// adjacent. Packed, every run begins with a vector of its own.
template <class T>
class TapRuns {
  public:
    TapRuns(const Convolution<T>& conv, int64_t row_stride)
        : columns_(conv.x.dilation == 1 ? 1 : conv.x.window), runs_(conv.y.window * columns_),
          length_(conv.taps() / runs_), row_step_(conv.y.dilation * row_stride),
          column_step_(conv.x.dilation * conv.channels_per_group),
          parts_(ceil_div(pitch() / L, held_vectors)),
          together_(columns_ == 1 && runs_ == 3 && 3 * pitch() / L <= held_vectors ? 3 : 1) {}

    int64_t pitch() const { return round_up(length_, L); }
    int64_t packed_size() const { return runs_ * pitch(); }
    int64_t ragged() const { return length_ % L; }  // numbers in the last vector, 0 if it is full

    int64_t chunks() const { return runs_ / together_ * parts_; }
    TapChunk chunk(int64_t i) const {
        const int64_t run = i / parts_ * together_, part = i % parts_, all = pitch() / L;
        const int64_t first = all * part / parts_, end = all * (part + 1) / parts_;
        return {run / columns_ * row_step_ + run % columns_ * column_step_ + first * L,
                row_step_, run * pitch() + first * L, pitch(), end - first, together_, end == all};
    }

    // tap [ky][kx][c] of a packed filter.
    int64_t packed_place(int64_t tap) const {
        return tap / length_ * pitch() + tap % length_;
    }

  private:
    static constexpr int64_t L = lanes<T>;
    int64_t columns_, runs_, length_, row_step_, column_step_, parts_, together_;
};

template <class T>
struct RunJob {
    const Flow<T>* flows;
    int64_t count;
    const T* image;       // read by gather_runs
    T* image_grad;        // written by scatter_runs
    int64_t step;         // from run to run
    T* packed;            // the gradient of a filter, or a filter
    int64_t pitch;
    int64_t ragged;       // lanes of the last vector that count; 0: all
};

// filter_grad += sum of value * image at the place of each flow.
template <int runs, int vectors, class T>
void gather_runs(const RunJob<T>& job) {
    constexpr int64_t L = lanes<T>;
    Vec<T> sum[runs][vectors];
#pragma GCC unroll 3
    for (int r = 0; r < runs; ++r)
#pragma GCC unroll 24
        for (int v = 0; v < vectors; ++v) sum[r][v] = load(job.packed + r * job.pitch + v * L);
    const int64_t step = job.step;
    for (const Flow<T>*flow = job.flows, *end = flow + job.count; flow != end; ++flow) {
        const Vec<T> value = broadcast(flow->value);
        const T* from = job.image + flow->place;
#pragma GCC unroll 3
        for (int r = 0; r < runs; ++r)
#pragma GCC unroll 24
            for (int v = 0; v < vectors; ++v) sum[r][v] += value * load(from + r * step + v * L);
    }
#pragma GCC unroll 3
    for (int r = 0; r < runs; ++r)
#pragma GCC unroll 24
        for (int v = 0; v < vectors; ++v) store(job.packed + r * job.pitch + v * L, sum[r][v]);
}

// image_grad at the place of each flow += value * filter.
template <bool ragged, int runs, int vectors, class T>
ATTAR_INLINE void scatter(const RunJob<T>& job) {
    constexpr int64_t L = lanes<T>;
    Vec<T> weight[runs][vectors];
#pragma GCC unroll 3
    for (int r = 0; r < runs; ++r)
#pragma GCC unroll 24
        for (int v = 0; v < vectors; ++v)
            weight[r][v] = load(job.packed + r * job.pitch + v * L);
    Vec<T> lane{};
    for (int64_t i = 0; i < L; ++i) lane[i] = static_cast<T>(i);
    const auto kept = lane < broadcast(static_cast<T>(job.ragged));
    const int64_t step = job.step;
    for (const Flow<T>*flow = job.flows, *end = flow + job.count; flow != end; ++flow) {
        const Vec<T> value = broadcast(flow->value);
        // What lies behind the run belongs to a neighbour: it gets 0, though value be infinite.
        const Vec<T> last = ragged ? (kept ? value : Vec<T>{}) : value;
        T* to = job.image_grad + flow->place;
#pragma GCC unroll 3
        for (int r = 0; r < runs; ++r)
#pragma GCC unroll 24
            for (int v = 0; v < vectors; ++v) {
                T* at = to + r * step + v * L;
                store(at, load(at) + (v + 1 == vectors ? last : value) * weight[r][v]);
            }
    }
}

template <int runs, int vectors, class T>
void scatter_runs(const RunJob<T>& job) {
    job.ragged ? scatter<true, runs, vectors>(job) : scatter<false, runs, vectors>(job);
}

template <class T>
using RunKernel = void (*)(const RunJob<T>&);

template <class T, int... v>
constexpr RunKernel<T> gather_kernels[] = {gather_runs<1, v + 1, T>...};
template <class T, int... v>
constexpr RunKernel<T> gather_three_kernels[] = {gather_runs<3, v + 1, T>...};
template <class T, int... v>
constexpr RunKernel<T> scatter_kernels[] = {scatter_runs<1, v + 1, T>...};
template <class T, int... v>
constexpr RunKernel<T> scatter_three_kernels[] = {scatter_runs<3, v + 1, T>...};

template <class T>
RunKernel<T> gather_kernel(const TapChunk& chunk) {
    if (chunk.runs == 3)
        return [&]<int... v>(std::integer_sequence<int, v...>) {
            return gather_three_kernels<T, v...>[chunk.vectors - 1];
        }(std::make_integer_sequence<int, held_vectors / 3>());
    return [&]<int... v>(std::integer_sequence<int, v...>) {
        return gather_kernels<T, v...>[chunk.vectors - 1];
    }(std::make_integer_sequence<int, held_vectors>());
}

template <class T>
RunKernel<T> scatter_kernel(const TapChunk& chunk) {
    if (chunk.runs == 3)
        return [&]<int... v>(std::integer_sequence<int, v...>) {
            return scatter_three_kernels<T, v...>[chunk.vectors - 1];
        }(std::make_integer_sequence<int, held_vectors / 3>());
    return [&]<int... v>(std::integer_sequence<int, v...>) {
        return scatter_kernels<T, v...>[chunk.vectors - 1];
    }(std::make_integer_sequence<int, held_vectors>());
}

}  // namespace attar::ATTAR_ISA
