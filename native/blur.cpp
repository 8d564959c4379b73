// Anti-aliased condensing in one pass: dense maxima, a separable filter, at the outputs only.
//
// Rows of maxima live in a ring with one slot for each row that the filter spans. An output row
// first adds them up from top to bottom, into `line`; then, border included, along the row.
#include "arena.h"
#include "blur_rows.h"
#include "operations.h"
#include "parallel.h"
#include "tile.h"

namespace attar::ATTAR_ISA {
namespace {

// What a task has in scratch memory stays well inside a core's own cache.
constexpr int64_t scratch_numbers = 48 << 10;
// Inputs of a task: enough to hide what it costs to hand it out and to fill its ring.
constexpr int64_t task_numbers = 64 << 10;

// The place of `at` on an axis of `size` cells: `border` folds what lies outside back onto it.
// -1 where there is nothing but zeros.
ATTAR_INLINE int64_t folded(int64_t at, int64_t size, Border border) {
    if (at >= 0 && at < size) return at;
    switch (border) {
        case Border::reflect: return at < 0 ? -at : 2 * (size - 1) - at;
        case Border::circular: return at < 0 ? at + size : at - size;
        default: return -1;
    }
}

template <class W>
void copy_weights(const double* from, int64_t count, W* to) {
    for (int64_t k = 0; k < count; ++k) to[k] = static_cast<W>(from[k]);
}

// How rows of images are read: the channels of all pixels side by side, or one channel at a time
// where that is what lies side by side in memory.
struct Rows {
    int64_t channels;  // in a row
    int64_t planes;    // rows of different channels that there are for one y

    template <class T>
    explicit Rows(const Images<T>& images) {
        const auto step = [](int64_t stride) { return stride < 0 ? -stride : stride; };
        const bool together =
            images.width == 1 || step(images.c_stride) < step(images.x_stride);
        channels = together ? images.channels : 1;
        planes = images.channels / channels;
    }

    template <class T>
    bool dense(const Images<T>& images) const {
        return (channels == 1 || images.c_stride == 1) &&
               (images.width == 1 || images.x_stride == channels);
    }
    template <class T>
    T* plane(const Images<T>& images, int64_t index) const {
        return images.image(index / planes) + index % planes * images.c_stride;
    }
};

// `count` pixels from column `x` on, side by side.
template <class T>
void gather_pixels(const Images<const T>& in, const T* row, int64_t x, int64_t count,
                   int64_t channels, T* to) {
    for (int64_t i = 0; i < count; ++i)
        for (int64_t c = 0; c < channels; ++c)
            *to++ = row[(x + i) * in.x_stride + c * in.c_stride];
}

template <class T>
void scatter_pixels(const T* from, int64_t x, int64_t count, int64_t channels,
                    const Images<T>& out, T* row) {
    for (int64_t i = 0; i < count; ++i)
        for (int64_t c = 0; c < channels; ++c)
            row[(x + i) * out.x_stride + c * out.c_stride] = *from++;
}

template <class W, class T>
W largest_at(const Images<const T>& in, const T* plane, const Blur& blur, int64_t y, int64_t x) {
    const Axis &rows = blur.max_y, &columns = blur.max_x;
    W largest = -std::numeric_limits<W>::infinity();
    for (int64_t i = 0; i < rows.window; ++i) {
        const int64_t from_y = rows.first(y) + i * rows.dilation;
        if (from_y < 0 || from_y >= in.height) continue;
        for (int64_t k = 0; k < columns.window; ++k) {
            const int64_t from_x = columns.first(x) + k * columns.dilation;
            if (from_x >= 0 && from_x < in.width)
                largest = max_nan<W>(largest,
                                     widen(plane[from_y * in.y_stride + from_x * in.x_stride]));
        }
    }
    return largest;
}

template <class T>
class BlurredImages {
    using W = Wide<T>;

  public:
    BlurredImages(const Images<const T>& in, const Images<T>& out, const Blur& blur)
        : in_(in), out_(out), blur_(blur), rows_(in), channels_(rows_.channels),
          dense_(rows_.dense(in)), in_place_(dense_ && blur.max_y.window == 1 &&
                                             blur.max_x.window == 1 && blur.max_y.pad_before == 0 &&
                                             blur.max_x.pad_before == 0),
          out_dense_(rows_.dense(out)), weights_y_(blur.y.window), weights_x_(blur.x.window),
          columns_(min(out.width, columns_per_piece())),
          column_pieces_((out.width + columns_ - 1) / columns_),
          band_(min(out.height, rows_per_band())), bands_((out.height + band_ - 1) / band_),
          planes_(bands_ * column_pieces_ > 1
                      ? 1
                      : max(1, task_numbers / (in.height * in.width * channels_))) {
        copy_weights(blur.weights_y, blur.y.window, weights_y_.data());
        copy_weights(blur.weights_x, blur.x.window, weights_x_.data());
    }

    void run() const {
        const int64_t planes = in_.n * rows_.planes, per_plane = bands_ * column_pieces_;
        const int64_t tasks = (planes + planes_ - 1) / planes_ * per_plane;
        parallel_for(tasks, Scratch(*this, nullptr).bytes, [=, this](int64_t task, void* memory) {
            const Scratch scratch(*this, memory);
            const int64_t first = task / per_plane * planes_;
            const int64_t band = task / column_pieces_ % bands_ * band_;
            const int64_t column = task % column_pieces_ * columns_;
            const Range outputs{band, min(out_.height, band + band_)};
            const Range columns{column, min(out_.width, column + columns_)};
            for (int64_t plane = first; plane < min(planes, first + planes_); ++plane)
                piece(plane, outputs, columns, scratch);
        });
    }

  private:
    struct Scratch {
        const T** sources;       // rows of the image
        const W** maps;          // rows of the map of maxima
        T *source_ring, *zeros;  // rows of the image where they must be gathered; a row of nothing
        int64_t* tags;           // which rows those are
        W *ring, *tall, *line;
        T* staging;
        int64_t source_row, map_row;  // from row to row of the rings
        size_t bytes;

        Scratch(const BlurredImages& b, void* memory) {
            const Blur& blur = b.blur_;
            constexpr int64_t slack = 3 * lanes<W>;
            const int64_t columns = blur.x.span(b.columns_);
            const int64_t taps = max(most_unrolled, max(blur.y.window, max(blur.max_y.window,
                                                                           blur.max_x.window)));
            const int64_t gathered = b.dense_ ? 0 : blur.max_y.extent();
            map_row = min(columns, blur.x.in) * b.channels_ + slack;
            source_row = min(map_row + (blur.max_x.extent() - 1) * b.channels_,
                             b.in_.width * b.channels_ + slack);
            Arena arena(memory);
            sources = arena.take<const T*>(taps);
            maps = arena.take<const W*>(taps);
            zeros = arena.take<T>(b.in_place_ ? map_row : 0);
            source_ring = arena.take<T>(gathered * source_row);
            tags = arena.take<int64_t>(gathered);
            ring = arena.take<W>(b.in_place_ ? 0 : blur.y.window * map_row);
            tall = arena.take<W>(b.in_place_ ? 0
                                             : map_row + (blur.max_x.extent() - 1) * b.channels_);
            line = arena.take<W>(columns * b.channels_ + slack);
            staging = arena.take<T>(b.out_dense_ ? 0 : b.columns_ * b.channels_);
            bytes = arena.used();
        }
    };

    // One piece of one plane.
    struct Piece {
        const T* plane;
        Range columns;     // outputs
        int64_t first;     // column of the map where `line` begins, may lie outside
        int64_t span;      // columns of `line`
        Range map;         // columns of the map that `line` and the rings hold
        Range source;      // columns of the image that those look at
    };

    int64_t columns_per_piece() const {
        const int64_t rows = in_place_ ? 2 : blur_.y.window + 3;
        const int64_t columns = scratch_numbers / (rows * channels_);
        return max(lanes<W>, (columns - blur_.x.window) / blur_.x.stride);
    }

    int64_t rows_per_band() const {
        const int64_t per_row = blur_.y.stride * blur_.x.span(columns_) * channels_;
        return max(2 * blur_.y.window, task_numbers / per_row);
    }

    void piece(int64_t index, Range outputs, Range columns, const Scratch& scratch) const {
        const Axis &y = blur_.y, &x = blur_.x, &max_x = blur_.max_x;
        Piece p;
        p.plane = rows_.plane(in_, index);
        p.columns = columns;
        p.first = x.first(columns.begin);
        p.span = x.span(columns.size());
        p.map.begin = min(x.in, max(0, p.first));
        p.map.end = max(p.map.begin, min(x.in, p.first + p.span));
        p.source.begin = max(0, max_x.first(p.map.begin));
        p.source.end = max(p.source.begin,
                           min(in_.width, max_x.first(p.map.end - 1) + max_x.extent()));
        const int64_t numbers = p.map.size() * channels_;
        W* const inside = scratch.line + (p.map.begin - p.first) * channels_;
        if (in_place_)
            std::memset(scratch.zeros, 0, static_cast<size_t>(numbers) * sizeof(T));
        if (!dense_)
            for (int64_t i = 0; i < blur_.max_y.extent(); ++i) scratch.tags[i] = -1;

        T* const out_plane = rows_.plane(out_, index);
        int64_t next = y.first(outputs.begin);  // row that the ring does not hold yet
        for (int64_t o = outputs.begin; o < outputs.end; ++o) {
            const int64_t top = y.first(o);
            if (in_place_) {
                for (int64_t k = 0; k < y.window; ++k) {
                    const int64_t at = folded(top + k, y.in, blur_.border);
                    scratch.sources[k] = at < 0 ? scratch.zeros
                                                : p.plane + at * in_.y_stride +
                                                      p.map.begin * in_.x_stride;
                }
                weigh(scratch.sources, numbers, inside);
            } else {
                const int64_t origin = y.first(outputs.begin);
                for (next = max(next, top); next < top + y.window; ++next)
                    fill_slot(p, folded(next, y.in, blur_.border), scratch,
                              slot(scratch, next - origin));
                for (int64_t k = 0; k < y.window; ++k)
                    scratch.maps[k] = slot(scratch, top + k - origin);
                weigh(scratch.maps, numbers, inside);
            }
            fill_border(p, top, scratch.line);
            T* const row = out_plane + o * out_.y_stride;
            T* const to = out_dense_ ? row + columns.begin * out_.x_stride : scratch.staging;
            with_taps(x.window, [&](auto taps) {
                weigh_pixels(taps, scratch.line, weights_x_.data(), x.window, x.stride, channels_,
                             columns.size(), to);
            });
            if (!out_dense_)
                scatter_pixels(to, columns.begin, columns.size(), channels_, out_, row);
        }
    }

    W* slot(const Scratch& scratch, int64_t row) const {
        return scratch.ring + row % blur_.y.window * scratch.map_row;
    }

    template <class S>
    void weigh(const S* const* rows, int64_t numbers, W* to) const {
        with_taps(blur_.y.window, [&](auto taps) {
            weigh_rows(taps, rows, weights_y_.data(), blur_.y.window, numbers, to);
        });
    }

    // Row `y` of the map of maxima, or zeros for -1.
    void fill_slot(const Piece& p, int64_t y, const Scratch& scratch, W* to) const {
        const Axis &max_y = blur_.max_y, &max_x = blur_.max_x;
        const int64_t numbers = p.map.size() * channels_;
        if (y < 0) {
            std::memset(to, 0, static_cast<size_t>(numbers) * sizeof(W));
            return;
        }
        int64_t seen = 0;
        for (int64_t k = 0; k < max_y.window; ++k) {
            const int64_t at = max_y.first(y) + k * max_y.dilation;
            if (at >= 0 && at < in_.height) scratch.sources[seen++] = source(p, at, scratch);
        }
        const int64_t source_numbers = p.source.size() * channels_;
        const int64_t width = p.map.size() + max_x.extent() - 1;
        const auto largest_of = [&](const auto* const* rows, int64_t count, int64_t width, W* into) {
            with_taps(count, [&](auto taps) {
                largest_of_rows(taps, rows, count, width, into);
            });
        };
        // Small windows that lie inside: all taps at once, each as a row of its own.
        if (p.source.size() == width && seen * max_x.window <= most_unrolled) {
            const int64_t taps = seen * max_x.window;
            for (int64_t i = seen; i < taps; ++i)
                scratch.sources[i] = scratch.sources[i - seen] + max_x.dilation * channels_;
            largest_of(scratch.sources, taps, numbers, to);
            return;
        }
        const int64_t left = p.source.begin - max_x.first(p.map.begin);
        const W none = -std::numeric_limits<W>::infinity();
        for (int64_t i = 0; i < left * channels_; ++i) scratch.tall[i] = none;
        for (int64_t i = (left + p.source.size()) * channels_; i < width * channels_; ++i)
            scratch.tall[i] = none;
        largest_of(scratch.sources, seen, source_numbers, scratch.tall + left * channels_);
        for (int64_t k = 0; k < max_x.window; ++k)
            scratch.maps[k] = scratch.tall + k * max_x.dilation * channels_;
        largest_of(scratch.maps, max_x.window, numbers, to);
    }

    // The columns of row `y` of the image that the piece looks at.
    const T* source(const Piece& p, int64_t y, const Scratch& scratch) const {
        const T* row = p.plane + y * in_.y_stride;
        if (dense_) return row + p.source.begin * in_.x_stride;
        const int64_t at = y % blur_.max_y.extent();
        T* const copy = scratch.source_ring + at * scratch.source_row;
        if (scratch.tags[at] != y) {
            gather_pixels(in_, row, p.source.begin, p.source.size(), channels_, copy);
            scratch.tags[at] = y;
        }
        return copy;
    }

    // The cells of `line` beyond the map's left and right border.
    void fill_border(const Piece& p, int64_t top, W* line) const {
        for (int64_t i = 0; i < p.span; ++i) {
            if (i == p.map.begin - p.first) i += p.map.size();
            if (i == p.span) return;
            W* const to = line + i * channels_;
            const int64_t at = folded(p.first + i, blur_.x.in, blur_.border);
            for (int64_t c = 0; c < channels_; ++c)
                to[c] = at < 0 ? W{0}
                        : at >= p.map.begin && at < p.map.end
                            ? line[(at - p.first) * channels_ + c]
                            : far_cell(p.plane + c * in_.c_stride, top, at);
        }
    }

    // What `line` would hold at a column that is not part of the piece: the other end of a wide
    // image.
    W far_cell(const T* plane, int64_t top, int64_t x) const {
        W total = 0;
        for (int64_t k = 0; k < blur_.y.window; ++k) {
            const int64_t y = folded(top + k, blur_.y.in, blur_.border);
            const W value = y < 0 ? W{0} : largest_at<W>(in_, plane, blur_, y, x);
            total += weights_y_.data()[k] * value;
        }
        return total;
    }

    const Images<const T>& in_;
    const Images<T>& out_;
    const Blur& blur_;
    Rows rows_;
    int64_t channels_;
    bool dense_, in_place_, out_dense_;  // rows of the input, of the map, of the output
    Buffer<W> weights_y_, weights_x_;
    int64_t columns_, column_pieces_;  // outputs of a piece
    int64_t band_, bands_;
    int64_t planes_;  // that a task takes, where they are small
};

// The adjoint of a filter. Along y each row of the answer gathers the rows of the gradient that
// it took part in. Along x the gradient is spread out with zeros between, so that the same is a
// filter with stride 1; what falls beyond the border is folded back onto the row.
template <class T>
class BlurGradient {
    using W = Wide<T>;

  public:
    BlurGradient(const Images<const T>& grad, const Images<T>& out, const Blur& blur)
        : grad_(grad), out_(out), blur_(blur), rows_(out), channels_(rows_.channels),
          dense_(rows_.dense(grad)), out_dense_(rows_.dense(out)), weights_x_(blur.x.window),
          begins_(out.height + 1), outputs_(blur.y.out * blur.y.window),
          weights_y_(blur.y.out * blur.y.window), begin_(min(0, blur.x.first(0))),
          end_(max(blur.x.in, blur.x.first(0) + blur.x.span(blur.x.out))),
          band_(max(1, task_numbers / (out.width * channels_))),
          bands_((out.height + band_ - 1) / band_) {
        copy_weights(blur.weights_x, blur.x.window, weights_x_.data());
        list_outputs();
    }

    void run() const {
        const int64_t planes = grad_.n * rows_.planes;
        const int64_t per_task = bands_ > 1 ? 1 : max(1, band_ / out_.height);
        parallel_for((planes + per_task - 1) / per_task * bands_, Scratch(*this, nullptr).bytes,
                     [=, this](int64_t task, void* memory) {
                         const Scratch scratch(*this, memory);
                         const int64_t first = task / bands_ * per_task;
                         const int64_t y = task % bands_ * band_;
                         for (int64_t i = 0; i < scratch.spread_numbers; ++i)
                             scratch.spread[i] = 0;
                         for (int64_t plane = first; plane < min(planes, first + per_task); ++plane)
                             for (int64_t i = y; i < min(out_.height, y + band_); ++i)
                                 row(plane, i, scratch);
                     });
    }

  private:
    struct Scratch {
        const T** sources;
        const W** maps;
        T *gathered, *staging;
        W *line, *spread, *sums;
        int64_t spread_numbers;
        size_t bytes;

        Scratch(const BlurGradient& b, void* memory) {
            const Axis& x = b.blur_.x;
            const int64_t numbers = x.out * b.channels_;
            spread_numbers = (x.span(x.out) + x.window - 1) * b.channels_;
            Arena arena(memory);
            sources = arena.take<const T*>(b.most_);
            maps = arena.take<const W*>(x.window);
            gathered = arena.take<T>(b.dense_ ? 0 : b.most_ * numbers);
            staging = arena.take<T>(b.out_dense_ ? 0 : b.out_.width * b.channels_);
            line = arena.take<W>(numbers);
            spread = arena.take<W>(spread_numbers);
            sums = arena.take<W>((b.end_ - b.begin_) * b.channels_);
            bytes = arena.used();
        }
    };

    // For each row of the answer, the rows of the gradient and their weights, one row's behind
    // the other's.
    void list_outputs() {
        const Axis& y = blur_.y;
        int64_t* const begins = begins_.data();
        const auto each = [&](const auto& visit) {
            for (int64_t o = 0; o < y.out; ++o)
                for (int64_t k = 0; k < y.window; ++k) {
                    const int64_t at = folded(y.first(o) + k, y.in, blur_.border);
                    if (at >= 0) visit(at, o, static_cast<W>(blur_.weights_y[k]));
                }
        };
        for (int64_t i = 0; i <= y.in; ++i) begins[i] = 0;
        each([&](int64_t at, int64_t, W) { ++begins[at + 1]; });
        for (int64_t i = 0; i < y.in; ++i) {
            most_ = max(most_, begins[i + 1]);
            begins[i + 1] += begins[i];
        }
        // Each list grows from its begin; afterwards all begins are one list too far.
        each([&](int64_t at, int64_t o, W weight) {
            outputs_.data()[begins[at]] = o;
            weights_y_.data()[begins[at]++] = weight;
        });
        for (int64_t i = y.in; i > 0; --i) begins[i] = begins[i - 1];
        begins[0] = 0;
    }

    void row(int64_t plane, int64_t y, const Scratch& scratch) const {
        const Axis& x = blur_.x;
        const int64_t numbers = x.out * channels_;
        const int64_t begin = begins_.data()[y], count = begins_.data()[y + 1] - begin;
        for (int64_t i = 0; i < count; ++i) {
            const T* from = rows_.plane(grad_, plane) + outputs_.data()[begin + i] * grad_.y_stride;
            if (!dense_) {
                T* const copy = scratch.gathered + i * numbers;
                gather_pixels(grad_, from, 0, x.out, channels_, copy);
                from = copy;
            }
            scratch.sources[i] = from;
        }
        W* const spread = scratch.spread + (x.window - 1) * channels_;
        W* const line = x.stride == 1 ? spread : scratch.line;
        with_taps(count, [&](auto taps) {
            weigh_rows(taps, scratch.sources, weights_y_.data() + begin, count, numbers, line);
        });
        if (x.stride > 1) spread_pixels(line, x.stride, channels_, x.out, spread);

        // Column i of `sums` is column begin_ + i of the row; those that no window sees are 0.
        W* const inside = scratch.sums - begin_ * channels_;
        const int64_t seen_begin = x.first(0), seen_end = x.first(0) + x.span(x.out);
        for (int64_t i = begin_ * channels_; i < seen_begin * channels_; ++i) inside[i] = 0;
        for (int64_t i = seen_end * channels_; i < end_ * channels_; ++i) inside[i] = 0;
        for (int64_t k = 0; k < x.window; ++k) scratch.maps[k] = spread - k * channels_;
        with_taps(x.window, [&](auto taps) {
            weigh_rows(taps, scratch.maps, weights_x_.data(), x.window,
                       (seen_end - seen_begin) * channels_, inside + seen_begin * channels_);
        });
        if (blur_.border != Border::zero)
            for (int64_t at = begin_; at < end_; ++at) {
                if (at == 0) at = x.in;
                if (at == end_) break;
                const int64_t to = folded(at, x.in, blur_.border);
                for (int64_t c = 0; c < channels_; ++c)
                    inside[to * channels_ + c] += inside[at * channels_ + c];
            }
        T* const out = rows_.plane(out_, plane) + y * out_.y_stride;
        T* const to = out_dense_ ? out : scratch.staging;
        each_vector<W>(x.in * channels_, to, [&](int64_t i, int64_t valid) {
            return valid == lanes<W> ? load(inside + i) : load_some<W>(inside + i, valid);
        });
        if (!out_dense_) scatter_pixels(to, 0, x.in, channels_, out_, out);
    }

    const Images<const T>& grad_;
    const Images<T>& out_;
    const Blur& blur_;
    Rows rows_;
    int64_t channels_;
    bool dense_, out_dense_;
    Buffer<W> weights_x_;
    Buffer<int64_t> begins_, outputs_;
    Buffer<W> weights_y_;
    int64_t most_ = 1;  // rows of the gradient that one row of the answer adds up
    int64_t begin_, end_;  // columns that some window sees, and those of the row
    int64_t band_, bands_;
};

}  // namespace

void blur(Number number, const AnyInput& in, const AnyOutput& out, const Blur& blur) {
    if (in.n == 0 || in.channels == 0) return;
    with_float_type(number, [&](auto zero) {
        using T = decltype(zero);
        const auto from = in.as<const T>();
        const auto to = out.as<T>();
        BlurredImages<T>(from, to, blur).run();
    });
}

void blur_grad(Number number, const AnyInput& grad, const AnyOutput& out, const Blur& blur) {
    if (grad.n == 0 || grad.channels == 0) return;
    with_float_type(number, [&](auto zero) {
        using T = decltype(zero);
        const auto from = grad.as<const T>();
        const auto to = out.as<T>();
        BlurGradient<T>(from, to, blur).run();
    });
}

}  // namespace attar::ATTAR_ISA
