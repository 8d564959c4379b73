// Filter -> detect -> condense for many filters, by the definition: every product is computed.
//
// A task takes a piece of the image and some panels of filters. The rows of the convolution go
// straight to the answer, or into a ring that stays in the cache and is pooled from there. A sum
// starts with the bias and adds one product after the other in the order row, column, channel,
// however the work is cut.
#include "arena.h"
#include "conv_panels.h"
#include "conv_paths.h"
#include "conv_pieces.h"
#include "conv_source.h"
#include "conv_tile.h"
#include "operations.h"
#include "parallel.h"
#include "pool_rows.h"

namespace attar::ATTAR_ISA {
namespace {

constexpr int64_t source_bytes = 256 << 10;  // of the image under a piece
constexpr int64_t tasks_per_thread = 6;

// Part i of `parts`, which differ by 1 at most.
Range part(int64_t size, int64_t parts, int64_t i) {
    return {size * i / parts, size * (i + 1) / parts};
}

template <class Reduce, class T>
class DirectConv {
  public:
    DirectConv(const T* packed, const Images<const T>& in, const Images<T>& out,
               const Convolution<T>& conv, const Pool& pool)
        : in_(in), out_(out), conv_(conv), pool_(pool),
          panels_(packed, conv.groups, conv.filters_per_group(), conv.taps()),
          pixel_(copied_pixel<T>(conv.channels_per_group, conv.x.stride)) {
        const int64_t wanted = tasks_per_thread * get_num_threads();
        const int64_t alike = in.n * conv.groups;
        columns_ = ceil_div(source_size(min(4, pool.y.out), pool.x.out), source_bytes);
        columns_ = min(columns_, pool.x.out * pool.x.stride / tile_pixels);
        columns_ = max(1, min(columns_, worthwhile(conv.x, pool.x)));
        rows_ = ceil_div(source_size(pool.y.out, largest(pool.x.out, columns_)), source_bytes);
        rows_ = max(rows_, min(pool.y.out / 4, ceil_div(wanted, alike * columns_ * panels_.count())));
        rows_ = max(1, min(rows_, worthwhile(conv.y, pool.y)));
        shares_ = min(panels_.count(), ceil_div(wanted, alike * columns_ * rows_));
    }

    void run() const {
        const int64_t tasks = in_.n * conv_.groups * rows_ * columns_ * shares_;
        parallel_for(tasks, scratch_bytes(), [&](int64_t task, void* memory) {
            const auto next = [&](int64_t count) {
                const int64_t index = task % count;
                task /= count;
                return index;
            };
            const Range panels = part(panels_.count(), shares_, next(shares_));
            const Range columns = part(pool_.x.out, columns_, next(columns_));
            const Range rows = part(pool_.y.out, rows_, next(rows_));
            const int64_t group = next(conv_.groups);
            compute(task, group, panels, Piece(pool_, rows, columns), Scratch(*this, memory));
        });
    }

    size_t scratch_bytes() const { return Scratch(*this, nullptr).bytes; }

  private:
    static constexpr int64_t L = lanes<T>;

    // Parts whose windows, dilated ones above all, do not copy more of their neighbours' inputs than
    // of their own.
    static int64_t worthwhile(const Axis& conv, const Axis& pool) {
        return min(pool.out, pool.out * pool.stride * conv.stride / conv.extent());
    }

    static int64_t largest(int64_t size, int64_t parts) { return ceil_div(size, parts); }

    // Numbers of the image, or bytes of them, under a piece of the answer.
    int64_t source_numbers(int64_t rows, int64_t columns) const {
        return conv_.y.span(pool_.y.span(rows)) * conv_.x.span(pool_.x.span(columns)) * pixel_;
    }
    int64_t source_size(int64_t rows, int64_t columns) const {
        return source_numbers(rows, columns) * int64_t{sizeof(T)};
    }

    struct Scratch {
        const T** rows;
        int64_t* offsets;
        T *source, *ring, *divisors;
        size_t bytes;

        Scratch(const DirectConv& e, void* memory) {
            const int64_t rows_out = largest(e.pool_.y.out, e.rows_);
            const int64_t columns_out = largest(e.pool_.x.out, e.columns_);
            Arena arena(memory);
            rows = arena.take<const T*>(e.pool_.y.window);
            offsets = arena.take<int64_t>(e.conv_.y.window * e.conv_.x.window);
            ring = arena.take<T>(e.pool_.y.extent() * e.pool_.x.span(columns_out) * 2 * L);
            divisors = arena.take<T>(round_up(columns_out, L));
            source = arena.take<T>(e.source_numbers(rows_out, columns_out) + L);
            bytes = arena.used();
        }
    };

    void compute(int64_t n, int64_t group, Range panels, const Piece& piece,
                 const Scratch& scratch) const {
        const Box box = piece.box(conv_, piece.inside_x.size(), group);
        const Source<T> source =
            conv_source(in_, in_.image(n), box, conv_.x.stride, pixel_, scratch.source);
        TileJob<T> job{};
        job.step = conv_.x.stride * source.pixel_stride;
        job.row_step = conv_.y.stride * source.row_stride;
        job.relu = conv_.relu;
        fill_runs(source, scratch.offsets, job);
        if (Reduce::divides)
            fill_divisors(pool_, pool_.x, piece.columns.begin, piece.columns.size(),
                          scratch.divisors);
        for (int64_t p = panels.begin; p < panels.end; ++p) {
            job.weights = panels_.weights(group, p);
            job.bias = panels_.bias(group, p);
            T* to = out_.image(n) + group * conv_.filters_per_group() + panels_.first(p) +
                    piece.columns.begin * out_.x_stride;
            if (pool_.kind == PoolKind::none)
                filter(source, piece, p, job, to);
            else if (pooled_in_tiles(pool_) && piece.whole(pool_))
                filter_and_pool_in_registers(source, piece, p, job, to);
            else
                filter_and_pool(source, piece, p, job, scratch, to);
        }
    }

    // The way from a pixel to the numbers under its window. Channels of neighbouring pixels, side
    // by side, are one run.
    void fill_runs(const Source<T>& source, int64_t* offsets, TileJob<T>& job) const {
        const Axis &y = conv_.y, &x = conv_.x;
        const bool whole_rows = x.dilation == 1 && source.pixel_stride == conv_.channels_per_group;
        const int64_t columns = whole_rows ? 1 : x.window;
        job.offsets = offsets;
        job.runs = y.window * columns;
        job.length = conv_.taps() / job.runs;
        for (int64_t ky = 0; ky < y.window; ++ky)
            for (int64_t kx = 0; kx < columns; ++kx)
                *offsets++ = ky * y.dilation * source.row_stride +
                             kx * x.dilation * source.pixel_stride;
    }

    void filter(const Source<T>& source, const Piece& piece, int64_t p, TileJob<T> job,
                T* to) const {
        job.to_step = out_.x_stride;
        job.filters = panels_.filters(p);
        for (int64_t y = 0; y < piece.rows.size(); ++y) {
            job.pixels = source.data + y * job.row_step;
            job.to = to + (piece.rows.begin + y) * out_.y_stride;
            run_tiles(job, piece.columns.size(), panels_.vectors(p));
        }
    }

    void filter_and_pool_in_registers(const Source<T>& source, const Piece& piece, int64_t p,
                                      TileJob<T> job, T* to) const {
        job.to_step = out_.x_stride;
        job.filters = panels_.filters(p);
        for (int64_t o = 0; o < piece.rows.size(); ++o) {
            job.pixels = source.data + 2 * o * job.row_step;
            job.to = to + (piece.rows.begin + o) * out_.y_stride;
            run_pooled_tiles<Reduce>(job, piece.columns.size(), panels_.vectors(p));
        }
    }

    void filter_and_pool(const Source<T>& source, const Piece& piece, int64_t p, TileJob<T> job,
                         const Scratch& scratch, T* to) const {
        const int64_t width = panels_.width(p);
        const Ring<T> ring{scratch.ring, pool_.y.extent(), piece.conv_width * width};
        job.to_step = job.filters = width;
        ring.roll(
            pool_.y, piece.rows,
            [&](int64_t y, int64_t) {
                filter_row(source, piece, p, job, y, ring);
                return 1;
            },
            [&](int64_t o, int64_t first) {
                for (int64_t k = 0; k < pool_.y.window; ++k)
                    scratch.rows[k] = ring.slot(first + k * pool_.y.dilation);
                const T rows_divisor =
                    Reduce::divides ? static_cast<T>(pool_.divisor(pool_.y, o)) : T{1};
                pool_interleaved_row<Reduce>(scratch.rows, pool_.y.window, width, pool_.x,
                                             piece.columns.size(), panels_.filters(p),
                                             scratch.divisors, rows_divisor,
                                             to + o * out_.y_stride, out_.x_stride);
            });
    }

    // One row of the convolution into the ring, neutral where it lies outside the map.
    void filter_row(const Source<T>& source, const Piece& piece, int64_t p, TileJob<T> job,
                    int64_t y, const Ring<T>& ring) const {
        const int64_t width = panels_.width(p), row = piece.row_inside(y);
        T* slot = ring.slot(y);
        Range written{0, 0};
        if (row >= 0) {
            const int64_t left = piece.inside_x.begin - piece.conv_x;
            written = {left * width, (left + piece.inside_x.size()) * width};
            job.pixels = source.data + row * job.row_step;
            job.to = slot + written.begin;
            run_tiles(job, piece.inside_x.size(), panels_.vectors(p));
        }
        for (int64_t i = 0; i < written.begin; ++i) slot[i] = Reduce::neutral();
        for (int64_t i = written.end; i < ring.slot_size; ++i) slot[i] = Reduce::neutral();
    }

    const Images<const T>& in_;
    const Images<T>& out_;
    const Convolution<T>& conv_;
    const Pool& pool_;
    Panels<T> panels_;
    int64_t pixel_;  // numbers from pixel to pixel of a copied source
    int64_t rows_, columns_, shares_;  // parts of the answer, and of the panels
};

// Rows that follow one another in memory are one row to a convolution that looks at single pixels.
template <class T>
void flatten(Images<const T>& in, Images<T>& out, Convolution<T>& conv, Pool& pool) {
    const bool pointwise = conv.y.window == 1 && conv.x.window == 1 && conv.y.stride == 1 &&
                           conv.x.stride == 1 && conv.y.pad_before == 0 &&
                           conv.x.pad_before == 0 && conv.y.out == conv.y.in &&
                           conv.x.out == conv.x.in && pool.kind == PoolKind::none;
    if (!pointwise || in.height == 1 || in.y_stride != in.width * in.x_stride ||
        out.y_stride != out.width * out.x_stride)
        return;
    const int64_t pixels = in.height * in.width;
    in.width = out.width = pixels;
    in.height = out.height = 1;
    conv.x = pool.x = {pixels, 1, 1, 1, 0, 0, pixels};
    conv.y = pool.y = {1, 1, 1, 1, 0, 0, 1};
}

// Calls run(conv) with the convolution that fits the pool.
template <class T, class Run>
auto with_direct(const T* packed, Images<const T> in, Images<T> out, Convolution<T> conv, Pool pool,
                 const Run& run) {
    flatten(in, out, conv, pool);
    if (pool.kind == PoolKind::average)
        return run(DirectConv<Sum<T>, T>(packed, in, out, conv, pool));
    return run(DirectConv<Max<T>, T>(packed, in, out, conv, pool));
}

}  // namespace

template <class T>
int64_t direct_size(const Convolution<T>& conv) {
    return Panels<T>(nullptr, conv.groups, conv.filters_per_group(), conv.taps()).size();
}

template <class T>
void pack_direct(const Convolution<T>& conv, T* packed) {
    const Panels<T> panels(packed, conv.groups, conv.filters_per_group(), conv.taps());
    panels.pack(conv.bias, conv.taps(), [&](int64_t group, int64_t panel, T* to, Range taps) {
        const T* from = conv.filters + panels.first_of_all(group, panel);
        const int64_t width = panels.width(panel), present = panels.filters(panel);
        for (int64_t tap = taps.begin; tap < taps.end; ++tap)
            for (int64_t k = 0; k < width; ++k)
                to[tap * width + k] = k < present ? from[tap * conv.filter_count + k] : T{0};
    });
}

template <class T>
void direct_conv(const T* packed, const Images<const T>& in, const Images<T>& out,
                 const Convolution<T>& conv, const Pool& pool) {
    with_direct(packed, in, out, conv, pool, [](const auto& direct) { direct.run(); });
}

template <class T>
Workspace direct_workspace(const Images<const T>& in, const Images<T>& out,
                           const Convolution<T>& conv, const Pool& pool) {
    return with_direct(static_cast<const T*>(nullptr), in, out, conv, pool,
                       [](const auto& direct) { return Workspace{direct.scratch_bytes(), 0}; });
}

#define ATTAR_INSTANTIATE(T)                                                                      \
    template int64_t direct_size(const Convolution<T>&);                                          \
    template void pack_direct(const Convolution<T>&, T*);                                         \
    template void direct_conv(const T*, const Images<const T>&, const Images<T>&,                 \
                              const Convolution<T>&, const Pool&);                                \
    template Workspace direct_workspace(const Images<const T>&, const Images<T>&,                 \
                                        const Convolution<T>&, const Pool&);
ATTAR_INSTANTIATE(float)
ATTAR_INSTANTIATE(double)

}  // namespace attar::ATTAR_ISA
