// What a pool works on at a time: a piece of the outputs, and the lines of numbers that lead to it.
#pragma once

#include "operands.h"
#include "simd.h"
#include "streamed.h"

namespace attar::ATTAR_ISA {

// A regular axis without the taps that meet no input and the steps that are not taken. `skipped`
// taps were left out in front.
struct TrimmedAxis {
    Axis axis;
    int64_t skipped;

    explicit TrimmedAxis(const Axis& whole) : axis(whole), skipped(0) {
        if (whole.bounds) return;
        const int64_t missing = whole.pad_before - (whole.out - 1) * whole.stride;
        skipped = missing > 0 ? (missing + whole.dilation - 1) / whole.dilation : 0;
        const int64_t last =
            min(whole.window - 1, (whole.in - 1 + whole.pad_before) / whole.dilation);
        axis.window = last - skipped + 1;
        axis.dilation = axis.window > 1 ? whole.dilation : 1;
        axis.stride = whole.out > 1 ? whole.stride : 1;
        axis.pad_before = whole.pad_before - skipped * whole.dilation;
    }
};

// Outputs [begin, end) of an axis, and the inputs [first, last) between their outermost taps.
struct Stretch {
    int64_t begin, end, first, last;

    Stretch(const Axis& axis, int64_t begin_, int64_t size)
        : begin(begin_), end(min(axis.out, begin_ + size)), first(axis.first(begin)),
          last(axis.first(end - 1) + (axis.taps(end - 1) - 1) * axis.dilation + 1) {}

    int64_t count() const { return end - begin; }
    int64_t span() const { return last - first; }
    // Inputs in front of and behind the image.
    int64_t before() const { return first < 0 ? -first : 0; }
    int64_t behind(int64_t size) const { return last > size ? last - size : 0; }
};

inline int64_t longest_span(const Axis& axis, int64_t size) {
    if (!axis.bounds) return axis.span(min(size, axis.out));
    int64_t longest = 0;
    for (int64_t o = 0; o < axis.out; o += size)
        longest = max(longest, Stretch(axis, o, size).span());
    return longest;
}

// What a task computes.
struct Piece {
    int64_t n, channel, channels, z;  // z: of the outputs
    Stretch rows, columns;
    int64_t pitch;        // of the line
    int64_t line_stride;  // from channel to channel of a planar line
    int64_t y = 0;        // the output row at hand
};

// Results of one output row that lie side by side in `from`. They belong to `to` and every `step`-th
// element behind it, counted from the start of the answer.
template <class W>
struct Run {
    const W* from;
    int64_t count, to, step;
    int64_t index;  // of the first one in Lines::per_output
};

// A row to be read: its first number, and which row of the band it is.
template <class T>
struct Row {
    const T* data;
    int64_t id;
};

template <class W>
struct Lines {
    W* line;         // the reduced rows
    W* result;       // the reduced windows
    W* spare;
    W* per_output;   // a number for each output of a row, as the Op wants it
    W* per_input;    // and for each number of the line
    Streamed* stream = nullptr;  // how results go to memory, where the answer is large
};

}  // namespace attar::ATTAR_ISA
