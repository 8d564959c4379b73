// The gradient of a convolution for its input: each filter times what flows into its map, added up
// where it lay.
//
// A task owns a band of rows of the answer. It adds all that flows there, piece by piece, filter by
// filter, in the same order wherever the bands begin.
#include "arena.h"
#include "map_grad.h"
#include "operations.h"
#include "parallel.h"
#include "tap_runs.h"
#include "tile.h"

namespace attar::ATTAR_ISA {
namespace {

constexpr int64_t band_bytes = 1 << 20;

template <class T, class W>
class ConvInputGrad {
  public:
    ConvInputGrad(const MapGrad<T, W>& map, const Convolution<T>& conv, const Images<T>& out)
        : map_(map), conv_(conv), out_(out), pieces_(even_pieces(conv, map.pool)),
          x_first_(conv.x.first(map.pool.x.first(0))),
          columns_(conv.x.span(map.pool.x.span(map.pool.x.out))),
          row_stride_(columns_ * conv.channels_per_group),
          taps_(conv, row_stride_),
          rows_(band_rows()), packed_(conv.filter_count * taps_.packed_size()) {}

    void run() {
        parallel_for(ceil_div(conv_.filter_count, listed_filters), 0, [&](int64_t task, void*) {
            const int64_t first = task * listed_filters;
            pack({first, min(conv_.filter_count, first + listed_filters)});
        });
        const int64_t bands = ceil_div(out_.height, rows_);
        parallel_for(out_.n * conv_.groups * bands, Scratch(*this, Arena(nullptr)).bytes,
                     [&](int64_t task, void* memory) {
                         const int64_t band = task % bands, group = task / bands % conv_.groups;
                         compute(task / bands / conv_.groups, group,
                                 {band * rows_, min(out_.height, (band + 1) * rows_)},
                                 Scratch(*this, Arena(memory)));
                     });
    }

  private:
    static constexpr int64_t L = lanes<T>;

    // Rows of pieces whose windows may flow into these rows of the image.
    Range piece_rows(Range rows) const {
        const Axis &conv = conv_.y, &pool = map_.pool.y;
        // Of the map, then of its pool: the first and the last that may reach the rows.
        const int64_t map_first = first_reaching(conv, rows.begin);
        const int64_t map_last = last_reaching(conv, rows.end - 1);
        if (map_first > map_last) return {0, 0};
        const int64_t first = first_reaching(pool, map_first);
        const int64_t last = last_reaching(pool, map_last);
        if (first > last) return {0, 0};
        return {first / pieces_.most_rows(), last / pieces_.most_rows() + 1};
    }
    // The first window whose end lies at or behind `at`, and the last that begins before or there.
    static int64_t first_reaching(const Axis& axis, int64_t at) {
        return max(0, ceil_div(max(0, at + axis.pad_before - axis.extent() + 1), axis.stride));
    }
    static int64_t last_reaching(const Axis& axis, int64_t at) {
        return at + axis.pad_before < 0 ? -1
                                        : min(axis.out - 1, (at + axis.pad_before) / axis.stride);
    }

    // The rows of the image under rows of pieces.
    Range image_rows(Range pieces) const {
        const Pool& pool = map_.pool;
        const int64_t first = pieces.begin * pieces_.most_rows();
        const int64_t end = min(pool.y.out, pieces.end * pieces_.most_rows());
        const int64_t begin = conv_.y.first(pool.y.first(first));
        return {begin, begin + conv_.y.span(pool.y.span(end - first))};
    }

    int64_t band_rows() const {
        const int64_t wanted = max(1, 4 * get_num_threads() / (out_.n * conv_.groups));
        int64_t rows = ceil_div(out_.height, wanted);
        rows = max(rows, min(out_.height, 4 * conv_.y.span(map_.pool.y.span(pieces_.most_rows()))));
        while (rows > 1 && scratch_rows(rows) * row_stride_ * int64_t{sizeof(T)} > band_bytes &&
               rows > 2 * conv_.y.span(map_.pool.y.span(pieces_.most_rows())))
            rows = ceil_div(rows, 2);
        return rows;
    }

    int64_t scratch_rows(int64_t rows) const {
        int64_t most = 1;
        for (int64_t band = 0; band * rows < out_.height; ++band) {
            const Range pieces = piece_rows({band * rows, min(out_.height, (band + 1) * rows)});
            if (pieces.size() > 0) most = max(most, image_rows(pieces).size());
        }
        return most;
    }

    struct Scratch {
        T* image;
        FlowLists<T, W> lists;
        size_t bytes;

        Scratch(const ConvInputGrad& e, Arena arena)
            : image(arena.take<T>(e.scratch_rows(e.rows_) * e.row_stride_ + L)),
              lists(e.map_, e.conv_, e.pieces_, e.row_stride_, arena), bytes(arena.used()) {}
    };

    void pack(Range filters) {
        for (int64_t f = filters.begin; f < filters.end; ++f) {
            T* to = packed_.data() + f * taps_.packed_size();
            for (int64_t i = 0; i < taps_.packed_size(); ++i) to[i] = 0;
        }
        for (int64_t tap = 0; tap < conv_.taps(); ++tap)
            for (int64_t f = filters.begin; f < filters.end; ++f)
                packed_.data()[f * taps_.packed_size() + taps_.packed_place(tap)] =
                    conv_.filters[tap * conv_.filter_count + f];
    }

    void compute(int64_t n, int64_t group, Range rows, Scratch scratch) {
        const Range pieces = piece_rows(rows);
        Range held{rows.begin, rows.begin};
        if (pieces.size() > 0) {
            held = image_rows(pieces);
            clear_vectors(held.size() * row_stride_, scratch.image);
            scratch.lists.fill_places();
            for (int64_t row = pieces.begin; row < pieces.end; ++row)
                for (int64_t column = 0; column < pieces_.columns(); ++column) {
                    const Range y = pieces_.row_range(row), x = pieces_.column_range(column);
                    const int64_t to_y = conv_.y.first(map_.pool.y.first(y.begin)) - held.begin;
                    const int64_t to_x = conv_.x.first(map_.pool.x.first(x.begin)) - x_first_;
                    T* image =
                        scratch.image + to_y * row_stride_ + to_x * conv_.channels_per_group;
                    for (int64_t f = 0; f < conv_.filters_per_group(); f += listed_filters)
                        add_piece(n, y, x, group * conv_.filters_per_group() + f,
                                  min(listed_filters, conv_.filters_per_group() - f), image,
                                  scratch);
                }
        }
        for (int64_t y = rows.begin; y < rows.end; ++y) write_row(n, group, y, held, scratch.image);
    }

    void add_piece(int64_t n, Range rows, Range columns, int64_t first, int64_t count, T* image,
                   Scratch& scratch) {
        FlowLists<T, W>& lists = scratch.lists;
        lists.fill(n, rows, columns, first, count);
        for (int64_t i = 0; i < taps_.chunks(); ++i) {
            const TapChunk chunk = taps_.chunk(i);
            const RunKernel<T> kernel = scatter_kernel<T>(chunk);
            for (int64_t f = 0; f < count; ++f)
                kernel({lists.begin(f), lists.count(f), nullptr, image + chunk.place, chunk.step,
                        packed_.data() + (first + f) * taps_.packed_size() + chunk.packed,
                        chunk.pitch, chunk.last ? taps_.ragged() : 0});
        }
    }

    void write_row(int64_t n, int64_t group, int64_t y, Range held, const T* image) const {
        const int64_t channels = conv_.channels_per_group;
        T* to = out_.image(n) + y * out_.y_stride + group * channels * out_.c_stride;
        const T* from = image + (y - held.begin) * row_stride_ - x_first_ * channels;
        const bool row = y >= held.begin && y < held.end;
        for (int64_t x = 0; x < out_.width; ++x, to += out_.x_stride) {
            const bool there = row && x >= x_first_ && x < x_first_ + columns_;
            for (int64_t c = 0; c < channels; ++c)
                to[c * out_.c_stride] = there ? from[x * channels + c] : T{0};
        }
    }

    const MapGrad<T, W>& map_;
    const Convolution<T>& conv_;
    const Images<T>& out_;
    EvenPieces pieces_;
    int64_t x_first_, columns_, row_stride_;  // of the answer under all windows
    TapRuns<T> taps_;
    int64_t rows_;  // of a band
    Buffer<T> packed_;
};

}  // namespace

template <class T>
void conv_input_grad(const Images<const T>& grad, const AnyInput& winners, int winner_bytes,
                     const Convolution<T>& conv, const Pool& pool, const Images<T>& out) {
    with_winners<T>(winners, winner_bytes, [&](const auto& typed) {
        const MapGrad map{grad, typed, pool};
        ConvInputGrad(map, conv, out).run();
    });
}

#define ATTAR_INSTANTIATE(T)                                                                      \
    template void conv_input_grad(const Images<const T>&, const AnyInput&, int,                   \
                                  const Convolution<T>&, const Pool&, const Images<T>&);
ATTAR_INSTANTIATE(float)
ATTAR_INSTANTIATE(double)

}  // namespace attar::ATTAR_ISA
