// The gradient of a convolution for its filters and its bias: each flow times the image under it.
//
// A task takes some filters and a part of the images, piece by piece; what the parts come to is
// added up in their order. Pieces and parts follow from the shapes alone, so sums do not depend on
// the number of threads.
#include "arena.h"
#include "conv_source.h"
#include "map_grad.h"
#include "operations.h"
#include "parallel.h"
#include "tap_runs.h"

namespace attar::ATTAR_ISA {
namespace {

constexpr int64_t share_bytes = 512 << 10;  // of gradients that a task adds to
constexpr int64_t wanted_tasks = 32;

template <class T, class W>
class ConvFilterGrad {
  public:
    ConvFilterGrad(const MapGrad<T, W>& map, const Images<const T>& in, const Convolution<T>& conv)
        : map_(map), in_(in), conv_(conv), pieces_(even_pieces(conv, map.pool)),
          box_(box(0, {0, pieces_.most_rows()}, {0, pieces_.most_columns()})),
          row_stride_(box_.columns * conv.channels_per_group),
          taps_(conv, row_stride_),
          shares_(ceil_div(conv.filters_per_group(), share_size())),
          parts_(max(1, min(in.n * pieces_.rows(), wanted_tasks / (conv.groups * shares_)))),
          sums_(parts_ * conv.filter_count * filter_size()) {}

    void run(T* filters, T* bias) {
        const int64_t tasks = parts_ * conv_.groups * shares_;
        parallel_for(tasks, Scratch(*this, Arena(nullptr)).bytes, [&](int64_t task, void* memory) {
            const int64_t share = task % shares_, group = task / shares_ % conv_.groups;
            const int64_t part = task / shares_ / conv_.groups;
            const int64_t rows = in_.n * pieces_.rows(), first = share * share_size();
            compute(part, {rows * part / parts_, rows * (part + 1) / parts_}, group,
                    {first, min(conv_.filters_per_group(), first + share_size())},
                    Scratch(*this, Arena(memory)));
        });
        parallel_for(ceil_div(conv_.filter_count, listed_filters), 0, [&](int64_t task, void*) {
            const int64_t first = task * listed_filters;
            add_up({first, min(conv_.filter_count, first + listed_filters)}, filters, bias);
        });
    }

  private:
    static constexpr int64_t L = lanes<T>;

    int64_t filter_size() const { return taps_.packed_size() + L; }  // the bias behind the taps
    int64_t share_size() const {
        return max(1, share_bytes / int64_t{sizeof(T)} / filter_size() / listed_filters) *
               listed_filters;
    }
    T* sum(int64_t part, int64_t filter) {
        return sums_.data() + (part * conv_.filter_count + filter) * filter_size();
    }

    Box box(int64_t group, Range rows, Range columns) const {
        const Pool& pool = map_.pool;
        return {conv_.y.first(pool.y.first(rows.begin)), conv_.y.span(pool.y.span(rows.size())),
                conv_.x.first(pool.x.first(columns.begin)),
                conv_.x.span(pool.x.span(columns.size())), group * conv_.channels_per_group,
                conv_.channels_per_group};
    }

    struct Scratch {
        T* image;
        FlowLists<T, W> lists;
        size_t bytes;

        Scratch(const ConvFilterGrad& e, Arena arena)
            : image(arena.take<T>(e.box_.rows * e.row_stride_ + 2 * L)),
              lists(e.map_, e.conv_, e.pieces_, e.row_stride_, arena), bytes(arena.used()) {}
    };

    void compute(int64_t part, Range rows, int64_t group, Range filters, Scratch scratch) {
        const int64_t channels = conv_.channels_per_group;
        const int64_t first_filter = group * conv_.filters_per_group();
        for (int64_t f = filters.begin; f < filters.end; ++f) {
            T* to = sum(part, first_filter + f);
            for (int64_t i = 0; i < filter_size(); ++i) to[i] = 0;
        }
        scratch.lists.fill_places();
        clear_vectors(2 * L, scratch.image + box_.rows * row_stride_);
        for (int64_t row = rows.begin; row < rows.end; ++row) {
            const int64_t n = row / pieces_.rows();
            const Range y = pieces_.row_range(row % pieces_.rows());
            for (int64_t column = 0; column < pieces_.columns(); ++column) {
                const Range x = pieces_.column_range(column);
                copy_box(in_, in_.image(n), box(group, y, x), row_stride_, channels, scratch.image);
                for (int64_t f = filters.begin; f < filters.end; f += listed_filters)
                    add_piece(part, n, y, x, first_filter + f,
                              min(listed_filters, filters.end - f), scratch);
            }
        }
    }

    void add_piece(int64_t part, int64_t n, Range rows, Range columns, int64_t first, int64_t count,
                   Scratch& scratch) {
        FlowLists<T, W>& lists = scratch.lists;
        lists.fill(n, rows, columns, first, count);
        for (int64_t i = 0; i < taps_.chunks(); ++i) {
            const TapChunk chunk = taps_.chunk(i);
            const RunKernel<T> kernel = gather_kernel<T>(chunk);
            for (int64_t f = 0; f < count; ++f)
                kernel({lists.begin(f), lists.count(f), scratch.image + chunk.place, nullptr,
                        chunk.step, sum(part, first + f) + chunk.packed, chunk.pitch, 0});
        }
        for (int64_t f = 0; f < count; ++f) {
            T total = 0;
            for (int64_t i = 0; i < lists.count(f); ++i) total += lists.begin(f)[i].value;
            sum(part, first + f)[taps_.packed_size()] += total;
        }
    }

    void add_up(Range filters, T* out, T* bias) {
        for (int64_t f = filters.begin; f < filters.end; ++f) {
            T* total = sum(0, f);
            for (int64_t part = 1; part < parts_; ++part) {
                const T* from = sum(part, f);
                for (int64_t i = 0; i < filter_size(); i += L)
                    store(total + i, load(total + i) + load(from + i));
            }
            if (bias) bias[f] = total[taps_.packed_size()];
        }
        for (int64_t tap = 0; tap < conv_.taps(); ++tap)
            for (int64_t f = filters.begin; f < filters.end; ++f)
                out[tap * conv_.filter_count + f] = sum(0, f)[taps_.packed_place(tap)];
    }

    const MapGrad<T, W>& map_;
    const Images<const T>& in_;
    const Convolution<T>& conv_;
    EvenPieces pieces_;
    Box box_;  // of the largest piece
    int64_t row_stride_;
    TapRuns<T> taps_;
    int64_t shares_, parts_;
    Buffer<T> sums_;  // [part][filter][tap, and then the bias]
};

}  // namespace

template <class T>
void conv_filter_grad(const Images<const T>& grad, const AnyInput& winners, int winner_bytes,
                      const Images<const T>& in, const Convolution<T>& conv, const Pool& pool,
                      T* filters, T* bias) {
    with_winners<T>(winners, winner_bytes, [&](const auto& typed) {
        const MapGrad map{grad, typed, pool};
        ConvFilterGrad(map, in, conv).run(filters, bias);
    });
}

#define ATTAR_INSTANTIATE(T)                                                                      \
    template void conv_filter_grad(const Images<const T>&, const AnyInput&, int,                  \
                                   const Images<const T>&, const Convolution<T>&, const Pool&,    \
                                   T*, T*);
ATTAR_INSTANTIATE(float)
ATTAR_INSTANTIATE(double)

}  // namespace attar::ATTAR_ISA
