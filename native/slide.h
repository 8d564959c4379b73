// Windows that slide along a line of numbers, at a cost that does not grow with the window.
//
// The taps of output o are line[(o * stride + k * dilation) * pitch + c], for k in [0, taps) and
// c in [0, pitch). A planar line has a pitch of 1; in a line of pixels the channels lie side by
// side. Vertical windows are the same over rows: there the pitch is the length of a row.
//
// A block of 4 taps at every position is computed from the line, a block of 16 from those of 4,
// and so on, in place. A maximum then is that of a few blocks that overlap; a sum adds the blocks
// that reduce.h names.
#pragma once

#include "reduce.h"

namespace attar::ATTAR_ISA {

// line[i] = reduction of line[i + {0, 1, 2, 3} * step], for i in [0, count). Reads up to a vector
// behind count + 3 * step.
template <class Reduce, class W>
void climb(W* line, int64_t count, int64_t step) {
    for (int64_t i = 0; i < count; i += lanes<W>) {
        const Vec<W> a = Reduce::combine(load(line + i), load(line + i + step));
        const Vec<W> b = Reduce::combine(a, load(line + i + 2 * step));
        store(line + i, Vec<W>(Reduce::combine(b, load(line + i + 3 * step))));
    }
}

// Blocks of 2^steps numbers side by side, in place and in registers: line[i] = reduction of line[i],
// ..., line[i + 2^steps - 1], as far as there are so many in front of `count`. From the last vector
// to the first, so that each has what stands behind it at hand.
template <class Reduce, int steps, class W>
void climb_lanes(W* line, int64_t count) {
    constexpr int64_t L = lanes<W>;
    Vec<W> behind[steps]{};
    for (int64_t i = (count - 1) / L * L; i >= 0; i -= L) {
        Vec<W> value = load(line + i);
        const auto step = [&](auto index) {
            constexpr int j = index();
            if constexpr (j < steps) {
                const Vec<W> shorter = value;
                value = Reduce::combine(shorter, shifted<(1 << j), W>(shorter, behind[j]));
                behind[j] = shorter;
            }
        };
        step(Constant<0>{});
        step(Constant<1>{});
        step(Constant<2>{});
        step(Constant<3>{});
        store(line + i, value);
    }
}

// The windows of an axis over lines of a pitch. Results have a pitch of their own.
struct Slide {
    int64_t taps, stride, dilation, pitch, to_pitch;

    int64_t extent() const { return (taps - 1) * dilation + 1; }
};

// Offsets of the terms that are combined at one size of blocks.
struct Terms {
    int64_t offset[short_sum];
    int count = 0;

    void add(int64_t value) { offset[count++] = value; }
};

// to[o * to_pitch + c] = reduction over `terms` at output o, for o in [0, count); with `add`,
// combined with what is there, which may be read up to a vector further. Writes exactly the pitch
// of each output; `spare` holds as many numbers as the line.
template <class Reduce, class W>
void pick(const W* line, const Terms& terms, const Slide& slide, int64_t count, bool add, W* to,
          W* spare) {
    constexpr int64_t L = lanes<W>;
    const int64_t pitch = slide.pitch, stride = slide.stride;
    const auto dense = [&](const W* from, int64_t numbers, W* target, bool add_to_target) {
        const auto window = [&](int64_t i) {
            Vec<W> value = load(from + i + terms.offset[0] * pitch);
            for (int t = 1; t < terms.count; ++t)
                value = Reduce::combine(value, load(from + i + terms.offset[t] * pitch));
            return value;
        };
        int64_t i = 0;
        if (!add_to_target) {
            for (; i + L <= numbers; i += L) store(target + i, window(i));
            if (i < numbers) store_first(target + i, window(i), numbers - i);
            return;
        }
        for (; i + L <= numbers; i += L)
            store(target + i, Vec<W>(Reduce::combine(load(target + i), window(i))));
        if (i < numbers)
            store_first(target + i, Vec<W>(Reduce::combine(load(target + i), window(i))),
                        numbers - i);
    };
    if (stride == 1 && slide.to_pitch == pitch) {
        dense(line, count * pitch, to, add);
    } else if (pitch > 1) {
        // A pixel at a time. Where its channels do not fill a vector, the surplus is overwritten
        // by the next pixel, if that lies right behind it.
        const int64_t all = count * pitch;
        constexpr int64_t few = 16 / sizeof(W);
        if (pitch <= few && stride <= 4 && !add && slide.to_pitch == pitch) {
            // Few channels: every window of a stretch, then those that are asked for.
            constexpr int64_t room = 4096 / sizeof(W);
            W windows[room + L];
            const int64_t most = (room / pitch - 1) / stride + 1;
            for (int64_t o = 0; o < count; o += most) {
                const int64_t part = min(most, count - o), numbers = part * pitch;
                dense(line + o * stride * pitch, ((part - 1) * stride + 1) * pitch, windows, false);
                const W* from = windows;
                W* const target = to + o * pitch;
                int64_t i = 0;
                for (; i + few <= numbers; i += pitch, from += stride * pitch)
                    std::memcpy(target + i, from, few * sizeof(W));
                for (; i < numbers; i += pitch, from += stride * pitch)
                    std::memcpy(target + i, from, static_cast<size_t>(pitch) * sizeof(W));
            }
            return;
        }
        const bool exact = add || slide.to_pitch != pitch;
        for (int64_t o = 0; o < count; ++o) {
            const W* from = line + o * stride * pitch;
            for (int64_t c = 0; c < pitch; c += L) {
                Vec<W> value = load(from + c + terms.offset[0] * pitch);
                for (int t = 1; t < terms.count; ++t)
                    value = Reduce::combine(value, load(from + c + terms.offset[t] * pitch));
                W* target = to + o * slide.to_pitch + c;
                if (add) value = Reduce::combine(load(target), value);
                store_first(target, value, min(L, exact ? pitch - c : all - o * pitch - c));
            }
        }
    } else if (stride == 2) {
        const auto window = [&](int64_t o) {
            const auto tap = [&](int t) {
                const W* from = line + 2 * o + terms.offset[t];
                return even_lanes<W>(load(from), load(from + L));
            };
            Vec<W> value = tap(0);
            for (int t = 1; t < terms.count; ++t) value = Reduce::combine(value, tap(t));
            if (add) value = Reduce::combine(load(to + o), value);
            return value;
        };
        int64_t o = 0;
        for (; o + L <= count; o += L) store(to + o, window(o));
        if (o < count) store_first(to + o, window(o), count - o);
    } else {
        dense(line, (count - 1) * stride + 1, spare, false);
        for (int64_t o = 0; o < count; ++o) {
            const W value = spare[o * stride];
            to[o] = add ? Reduce::combine(to[o], value) : value;
        }
    }
}

// A long window of a maximum, where windows hardly share anything: straight through it.
template <class Reduce, class W>
W reduce_run(const W* from, int64_t taps) {
    constexpr int64_t L = lanes<W>;
    if (taps < 2 * L) return reduce_window<Reduce>([&](int64_t k) { return from[k]; }, taps);
    Vec<W> value = load(from);
    for (int64_t i = L; i + L <= taps; i += L) value = Reduce::combine(value, load(from + i));
    value = Reduce::combine(value, load(from + taps - L));
    W lane[L];
    store(lane, value);
    return reduce_window<Reduce>([&](int64_t k) { return lane[k]; }, L);
}

// to[o * to_pitch + c] = reduction of window o, for o in [0, count). Destroys the line. Reads up to
// two vectors behind the last window. Writes exactly the pitch of each output, but reads a vector
// of `to` where sums are long. `spare` holds as many numbers as the line.
template <class Reduce, class W>
void slide_windows(W* line, const Slide& slide, int64_t count, W* to, W* spare) {
    const int64_t taps = slide.taps, pitch = slide.pitch;
    const int64_t span = (count - 1) * slide.stride + slide.extent();
    if (taps <= Reduce::short_window) {
        Terms terms;
        for (int64_t k = 0; k < taps; ++k) terms.add(k * slide.dilation);
        pick<Reduce>(line, terms, slide, count, false, to, spare);
        return;
    }
    if (pitch == 1 && slide.dilation == 1 &&
        (Reduce::any_order ? taps <= 4 * slide.stride || count == 1
                           : count * taps <= span && taps > 4 * lanes<W>)) {
        for (int64_t o = 0; o < count; ++o) {
            const W* from = line + o * slide.stride;
            if constexpr (Reduce::any_order)
                to[o] = reduce_run<Reduce>(from, taps);
            else
                to[o] = reduce_window<Reduce>([&](int64_t k) { return from[k]; }, taps);
        }
        return;
    }
    if (pitch > 1 && (taps <= 2 * slide.stride || count == 1)) {
        for (int64_t o = 0; o < count; ++o)
            for (int64_t c = 0; c < pitch; c += lanes<W>) {
                const W* from = line + o * slide.stride * pitch + c;
                const Vec<W> value = reduce_window<Reduce>(
                    [&](int64_t k) { return load(from + k * slide.dilation * pitch); }, taps);
                store_first(to + o * slide.to_pitch + c, value, min(lanes<W>, pitch - c));
            }
        return;
    }
    const int64_t step = slide.dilation * pitch;
    bool add = false;
    int64_t size = 1;
    if constexpr (Reduce::any_order && lanes<W> >= 4) {
        if (step == 1) {
            // What a vector holds needs no memory in between.
            constexpr int64_t L = lanes<W>;
            if (L >= 16 && taps >= 16)
                climb_lanes<Reduce, L >= 16 ? 4 : 1>(line, span), size = 16;
            else if (L >= 8 && taps >= 8)
                climb_lanes<Reduce, L >= 8 ? 3 : 1>(line, span), size = 8;
            else
                climb_lanes<Reduce, 2>(line, span), size = 4;
        }
    }
    for (;; size *= 4) {
        // What this size of blocks gives to the window; the largest ends it.
        const bool last = 4 * size > taps;
        Terms terms;
        if (Reduce::any_order) {
            if (last) {
                for (int64_t k = 0; k + size < taps; k += size) terms.add(k * slide.dilation);
                terms.add((taps - size) * slide.dilation);
            }
        } else {
            for_each_block(taps, [&](int64_t offset, int64_t of) {
                if (of == size) terms.add(offset * slide.dilation);
            });
        }
        if (terms.count) {
            pick<Reduce>(line, terms, slide, count, add, to, spare);
            add = true;
        }
        if (last) return;
        climb<Reduce>(line, (span - (4 * size - 1) * slide.dilation) * pitch, size * step);
    }
}

}  // namespace attar::ATTAR_ISA
