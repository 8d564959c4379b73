// Numbers from one layout to another, on every thread.
//
// Where one array's neighbours are not the other's, squares of them are turned in registers.
#include "operations.h"
#include "parallel.h"
#include "simd.h"

namespace attar::ATTAR_ISA {
namespace {

constexpr int dims = 5;
constexpr int64_t task_numbers = 1 << 15;

struct Dim {
    int64_t size, from, to;  // strides of input and output
};

// Dim `at` to the place `place`, those behind it one further to the front.
void move_to(Dim (&dim)[dims], int at, int place) {
    const Dim moved = dim[at];
    for (int i = at; i < place; ++i) dim[i] = dim[i + 1];
    dim[place] = moved;
}

int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }

// Of the dims [0, end): where the neighbours of an array are.
template <class Stride>
int innermost(const Dim (&dim)[dims], int end, const Stride& stride) {
    int best = end - 1;
    for (int i = end - 1; i >= 0; --i)
        if (dim[i].size > 1 &&
            (dim[best].size == 1 || magnitude(stride(dim[i])) < magnitude(stride(dim[best]))))
            best = i;
    return best;
}

template <class T>
ATTAR_INLINE void copy_block(const T* from, const Dim& y, int64_t rows, const Dim& x,
                             int64_t columns, T* to) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) to[i * y.to + j * x.to] = from[i * y.from + j * x.from];
}

// L rows of L numbers, turned: what was side by side comes one below the other.
template <class T>
ATTAR_INLINE void turn_block(const T* from, int64_t from_step, int64_t to_step, T* to) {
    constexpr int L = lanes<T>;
    Vec<T> a[L], b[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) a[i] = load(from + i * from_step);
#pragma GCC unroll 4
    for (int stage = 1; stage < L; stage *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < L / 2; ++i) {
            b[2 * i] = first_by_turns<T>(a[i], a[i + L / 2]);
            b[2 * i + 1] = second_by_turns<T>(a[i], a[i + L / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) a[i] = b[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) store(to + i * to_step, a[i]);
}

// `rows` x `columns` numbers that are side by side along y in the input and along x in the output.
template <class T>
ATTAR_INLINE void turn(const T* from, int64_t rows, int64_t from_step, int64_t columns,
                       int64_t to_step, T* to) {
    constexpr int64_t L = lanes<T>;
    int64_t i = 0;
    for (; i + L <= rows; i += L) {
        int64_t j = 0;
        for (; j + L <= columns; j += L)
            turn_block(from + i + j * from_step, from_step, to_step, to + i * to_step + j);
        copy_block(from + i + j * from_step, Dim{L, 1, to_step}, L, Dim{1, from_step, 1},
                   columns - j, to + i * to_step + j);
    }
    copy_block(from + i, Dim{1, 1, to_step}, rows - i, Dim{1, from_step, 1}, columns,
               to + i * to_step);
}

template <class T>
void copy_of(const T* from, T* to, Dim (&dim)[dims]) {
    // The output's neighbours last, the input's before them.
    move_to(dim, innermost(dim, dims, [](const Dim& d) { return d.to; }), dims - 1);
    move_to(dim, innermost(dim, dims - 1, [](const Dim& d) { return d.from; }), dims - 2);
    const Dim &y = dim[dims - 2], &x = dim[dims - 1];
    const int64_t rows = max(1, min(y.size, round_up(task_numbers / max(1, x.size), 16)));
    const int64_t parts = ceil_div(y.size, rows);
    const int64_t tasks = dim[0].size * dim[1].size * dim[2].size * parts;
    parallel_for(tasks, 0, [&](int64_t task, void*) {
        const int64_t first = task % parts * rows, end = min(y.size, first + rows);
        int64_t rest = task / parts, from_at = 0, to_at = 0;
        for (int i = dims - 3; i >= 0; --i) {
            from_at += rest % dim[i].size * dim[i].from;
            to_at += rest % dim[i].size * dim[i].to;
            rest /= dim[i].size;
        }
        const T* source = from + from_at + first * y.from;
        T* target = to + to_at + first * y.to;
        if (x.from == 1 && x.to == 1)
            return copy_block(source, y, end - first, Dim{x.size, 1, 1}, x.size, target);
        if constexpr (sizeof(T) >= 4)
            if (y.from == 1 && x.to == 1)
                return turn(source, end - first, x.from, x.size, y.to, target);
        copy_block(source, y, end - first, x, x.size, target);
    });
}

}  // namespace

void copy(int bytes, const AnyInput& in, const AnyOutput& out) {
    Dim dim[dims] = {{in.n, in.n_stride, out.n_stride},
                     {in.depth, in.z_stride, out.z_stride},
                     {in.height, in.y_stride, out.y_stride},
                     {in.width, in.x_stride, out.x_stride},
                     {in.channels, in.c_stride, out.c_stride}};
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        copy_of(static_cast<const T*>(in.data), static_cast<T*>(out.data), dim);
    };
    if (bytes == 1)
        run(uint8_t{});
    else if (bytes == 2)
        run(uint16_t{});
    else if (bytes == 4)
        run(float{});
    else
        run(double{});
}

}  // namespace attar::ATTAR_ISA
