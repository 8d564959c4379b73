// Filter -> detect -> condense. A piece of the output at a time: the rows of the convolution that
// its windows need are computed into a ring that stays in the cache, and pooled from there. The
// map before the pool is never written to memory.
#include "arena.h"
#include "conv_paths.h"
#include "conv_pieces.h"
#include "conv_rows.h"
#include "fused_rows.h"
#include "operations.h"
#include "packed_filters.h"
#include "parallel.h"
#include "pool_rows.h"
#include "tile.h"

namespace attar::ATTAR_ISA {
namespace {

constexpr int64_t tile_bytes = 256 << 10;  // a copied piece of the image
constexpr int64_t ring_bytes = 64 << 10;   // rows of the convolution that wait for the pool

// Enough bands that every thread has a dozen to take, but no band of so few rows that
// neighbours compute the same rows of the convolution again and again.
int64_t rows_per_band(const Axis& rows, int64_t images) {
    const int64_t wanted = get_num_threads() * int64_t{12};
    return min(16, max(4, rows.out * images / wanted));
}

// Calls body(image, group, filter blocks, piece, scratch memory) for every piece of the output.
template <class T, class Body>
void for_each_piece(int64_t images, const Convolution<T>& conv, const Pool& pool, int64_t blocks,
                    const Pieces& rows, const Pieces& columns, size_t scratch_bytes,
                    const Body& body) {
    const int64_t bands = images * conv.groups * rows.count();
    if (bands == 0) return;
    // Where there are too few bands for the threads, the filters are shared out as well.
    const int64_t shares = min(blocks, (4 * get_num_threads() + bands - 1) / bands);
    parallel_for(bands * shares, scratch_bytes, [&](int64_t task, void* memory) {
        const int64_t share = task % shares, band = task / shares % rows.count();
        const int64_t group = task / shares / rows.count() % conv.groups;
        const int64_t image = task / shares / rows.count() / conv.groups;
        for (int64_t i = 0; i < columns.count(); ++i)
            body(image, group, Range{blocks * share / shares, blocks * (share + 1) / shares},
                 Piece(pool, rows[band], columns[i]), memory);
    });
}

template <class T>
using DenseRows = void (*)(const Tile<T>&, const T*, int64_t, const T*, T, bool, int64_t, int64_t,
                           T* const*);
template <class T>
using DensePooledRows = void (*)(const Tile<T>&, const T*, int64_t, const T*, T, bool, int64_t,
                                 int64_t, T*, int64_t);

// The kernels that exist for this size of filter, or null.
template <class Reduce, class T>
struct DenseKernels {
    DenseRows<T> rows = nullptr;          // a row of the convolution, or two
    DensePooledRows<T> pooled = nullptr;  // rows of it, pooled 2x2

    DenseKernels(const Convolution<T>& conv, const Pool& pool) {
        const auto plain = [](const Axis& axis, int64_t window, int64_t stride) {
            return axis.window == window && axis.stride == stride && axis.dilation == 1;
        };
        const auto set = [&]<int K>() {
            if (!plain(conv.y, K, 1) || !plain(conv.x, K, 1)) return;
            rows = dense_row_or_two<K, K, T>;
            if (plain(pool.y, 2, 2) && plain(pool.x, 2, 2))
                pooled = dense_pooled_rows<Reduce, K, K, T>;
        };
        set.template operator()<3>();
        set.template operator()<5>();
    }
};

// ---------------------------------------------------------------------------- planar

template <class Reduce, class T>
class PlanarExtract {
  public:
    PlanarExtract(const Images<const T>& in, const Images<T>& out, const Convolution<T>& conv,
                  const Pool& pool)
        : in_(in), out_(out), conv_(conv), pool_(pool), dense_(conv, pool),
          filters_(conv, dense_.rows ? 1 : min(planar_block, conv.filters_per_group())),
          rows_(through(conv.y, pool.y), 0, 1, rows_per_band(pool.y, in.n * conv.groups)),
          open_(has_masked_loads && dense_.rows && in.x_stride == 1),
          // With masked loads only the pool has borders, where its window leaves the map.
          columns_(open_ ? Pieces(pool.x, 0, 1, columns_per_piece())
                         : Pieces(through(conv.x, pool.x), 2 * L * conv.x.stride, L,
                                  columns_per_piece())) {}

    void run() const {
        for_each_piece(in_.n, conv_, pool_, filters_.blocks(), rows_, columns_,
                       Scratch(*this, nullptr).bytes,
                       [this](int64_t n, int64_t group, Range blocks, const Piece& piece,
                              void* memory) {
                           compute(n, group, blocks, piece, Scratch(*this, memory));
                       });
    }

  private:
    static constexpr int64_t L = lanes<T>;

    int64_t columns_per_piece() const {
        const Axis x = through(conv_.x, pool_.x), y = through(conv_.y, pool_.y);
        const int64_t height = y.span(min(y.out, rows_per_band(pool_.y, in_.n * conv_.groups)));
        const int64_t tile =
            tile_bytes / (height * conv_.channels_per_group * int64_t{sizeof(T)}) / x.stride;
        const int64_t ring =
            ring_bytes / (pool_.y.extent() * filters_.block() * int64_t{sizeof(T)}) / pool_.x.stride;
        return max(2 * L, min(tile, ring) / L * L);
    }

    int64_t ring_width(int64_t outputs) const { return round_up(pool_.x.span(outputs) + 3 * L, L); }

    struct Scratch {
        const T** rows;
        int64_t* offsets;
        T *tile, *ring, *reduced, *divisors, *staging;
        size_t bytes;

        Scratch(const PlanarExtract& e, void* memory) {
            const int64_t outputs = e.columns_.largest(), width = e.ring_width(outputs);
            const int64_t image_rows = e.conv_.y.span(e.pool_.y.span(e.rows_.largest()));
            const int64_t image_columns = e.conv_.x.span(round_up(width, 2 * L));
            Arena arena(memory);
            rows = arena.take<const T*>(e.pool_.y.window);
            offsets = arena.take<int64_t>(e.conv_.taps());
            tile = arena.take<T>(planar_size<T>(image_rows, image_columns, e.conv_.channels_per_group,
                                             e.conv_.x.stride));
            ring = arena.take<T>(e.pool_.y.extent() * e.filters_.block() * width);
            reduced = arena.take<T>(width);
            divisors = arena.take<T>(round_up(outputs, L));
            staging = arena.take<T>(round_up(outputs, L));
            bytes = arena.used();
        }
    };

    void compute(int64_t n, int64_t group, Range blocks, const Piece& piece,
                 const Scratch& scratch) const {
        const Box box = piece.box(conv_, round_up(piece.inside_x.size(), 2 * L), group);
        const Tile<T> tile =
            planar_tile(in_, in_.image(n), box, conv_.x.stride, open_, scratch.tile);
        const bool in_registers = dense_.pooled && piece.whole(pool_);
        if (!dense_.rows) fill_offsets(tile, scratch.offsets);
        if (Reduce::divides && !in_registers)
            fill_divisors(pool_, pool_.x, piece.columns.begin, piece.columns.size(),
                          scratch.divisors);
        for (int64_t b = blocks.begin; b < blocks.end; ++b) {
            const int64_t filter = group * conv_.filters_per_group() + b * filters_.block();
            T* to = out_.image(n) + filter * out_.c_stride + piece.columns.begin * out_.x_stride;
            if (in_registers)
                pool_in_registers(tile, group, b, piece, to, scratch);
            else
                pool_from_ring(tile, group, b, piece, to, scratch);
        }
    }

    void pool_in_registers(const Tile<T>& tile, int64_t group, int64_t b, const Piece& piece, T* to,
                           const Scratch& scratch) const {
        const int64_t count = piece.columns.size(), channels = conv_.channels_per_group;
        const T *weights = filters_.weights(group, b), bias = *filters_.bias(group, b);
        to += piece.rows.begin * out_.y_stride;
        if (out_.x_stride == 1) {
            dense_.pooled(tile, tile.data, channels, weights, bias, conv_.relu, piece.rows.size(),
                          count, to, out_.y_stride);
            return;
        }
        for (int64_t o = 0; o < piece.rows.size(); ++o) {
            dense_.pooled(tile, tile.data + 2 * o * tile.row_stride, channels, weights, bias,
                          conv_.relu, 1, count, scratch.staging, 0);
            for (int64_t x = 0; x < count; ++x)
                to[o * out_.y_stride + x * out_.x_stride] = scratch.staging[x];
        }
    }

    void pool_from_ring(const Tile<T>& tile, int64_t group, int64_t b, const Piece& piece, T* to,
                        const Scratch& scratch) const {
        const int64_t width = ring_width(piece.columns.size());
        const int64_t present =
            min(filters_.block(), conv_.filters_per_group() - b * filters_.block());
        const Ring<T> ring{scratch.ring, pool_.y.extent(), filters_.block() * width};
        ring.roll(
            pool_.y, piece.rows,
            [&](int64_t y, int64_t end) {
                return filter_rows(tile, group, b, piece, y, end, width, ring, scratch.offsets);
            },
            [&](int64_t o, int64_t first) {
                const T rows_divisor =
                    Reduce::divides ? static_cast<T>(pool_.divisor(pool_.y, o)) : T{1};
                for (int64_t f = 0; f < present; ++f) {
                    for (int64_t k = 0; k < pool_.y.window; ++k)
                        scratch.rows[k] = ring.slot(first + k * pool_.y.dilation) + f * width;
                    pool_planar_row<Reduce>(scratch.rows, pool_.y.window, pool_.x,
                                            piece.columns.size(), scratch.divisors, rows_divisor,
                                            scratch.reduced,
                                            to + f * out_.c_stride + o * out_.y_stride,
                                            out_.x_stride, scratch.staging);
                }
            });
    }

    // Rows of the convolution from y on, for a block of filters: as many as are best computed
    // together. Neutral where they are outside the map.
    int64_t filter_rows(const Tile<T>& tile, int64_t group, int64_t b, const Piece& piece,
                        int64_t y, int64_t end, int64_t width, const Ring<T>& ring,
                        const int64_t* offsets) const {
        const int64_t left = piece.inside_x.begin - piece.conv_x, count = piece.inside_x.size();
        const int64_t tile_row = piece.row_inside(y);
        if (tile_row < 0) {
            T* slot = ring.slot(y);
            for (int64_t i = 0; i < ring.slot_size; ++i) slot[i] = Reduce::neutral();
            return 1;
        }
        const T* row = tile.data + tile_row * conv_.y.stride * tile.row_stride;
        const T *weights = filters_.weights(group, b), *bias = filters_.bias(group, b);
        int64_t rows = 1;
        if (dense_.rows) {
            rows = y + 1 < end && piece.row_inside(y + 1) >= 0 ? 2 : 1;
            T* const to[] = {ring.slot(y) + left, ring.slot(y + rows - 1) + left};
            dense_.rows(tile, row, conv_.channels_per_group, weights, *bias, conv_.relu, rows,
                        count, to);
        } else {
            planar_rows[filters_.block() - 1](row, offsets, conv_.taps(), weights, bias,
                                              conv_.relu, count, ring.slot(y) + left, width);
        }
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t f = 0; f < filters_.block(); ++f) {
                T* slot = ring.slot(y + r) + f * width;
                for (int64_t x = 0; x < left; ++x) slot[x] = Reduce::neutral();
                for (int64_t x = left + count; x < piece.conv_width; ++x)
                    slot[x] = Reduce::neutral();
            }
        return rows;
    }

    // The way from a pixel of the tile to each tap, in the order of the packed weights.
    void fill_offsets(const Tile<T>& tile, int64_t* offsets) const {
        const int64_t phases = conv_.x.stride;
        for (int64_t c = 0; c < conv_.channels_per_group; ++c)
            for (int64_t ky = 0; ky < conv_.y.window; ++ky)
                for (int64_t kx = 0; kx < conv_.x.window; ++kx) {
                    const int64_t x = kx * conv_.x.dilation;
                    *offsets++ = ky * conv_.y.dilation * tile.row_stride +
                                 (c * phases + x % phases) * tile.plane_stride + x / phases;
                }
    }

    using PlanarRow = void (*)(const T*, const int64_t*, int64_t, const T*, const T*, bool, int64_t,
                               T*, int64_t);
    static constexpr PlanarRow planar_rows[planar_block] = {planar_row<1, T>, planar_row<2, T>,
                                                            planar_row<3, T>, planar_row<4, T>};

    const Images<const T>& in_;
    const Images<T>& out_;
    const Convolution<T>& conv_;
    const Pool& pool_;
    DenseKernels<Reduce, T> dense_;
    PackedFilters<T> filters_;
    Pieces rows_;
    bool open_;  // whether the kernel itself leaves out the columns beside the image
    Pieces columns_;
};

// ------------------------------------------------------------------------ channels

// Filters side by side fill the vectors: what models use.
template <class T>
void extract_channels(const Images<const T>& in, const Images<T>& out, const Convolution<T>& conv,
                      const Pool& pool) {
    const Buffer<T> packed(direct_size(conv));
    pack_direct(conv, const_cast<T*>(packed.data()));
    direct_conv(packed.data(), in, out, conv, pool);
}

}  // namespace

template <class T>
void extract(const Images<const T>& in, const Images<T>& out, const Convolution<T>& conv,
             const Pool& pool) {
    if (lanes_hold_channels(out, conv.filters_per_group(), lanes<T>))
        extract_channels(in, out, conv, pool);
    else if (pool.kind == PoolKind::average)
        PlanarExtract<Sum<T>, T>(in, out, conv, pool).run();
    else
        PlanarExtract<Max<T>, T>(in, out, conv, pool).run();
}

template void extract(const Images<const float>&, const Images<float>&, const Convolution<float>&,
                      const Pool&);
template void extract(const Images<const double>&, const Images<double>&,
                      const Convolution<double>&, const Pool&);

}  // namespace attar::ATTAR_ISA
