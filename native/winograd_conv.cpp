// Filter -> detect -> condense for 3 x 3 filters with stride 1, through Winograd's transforms.
//
// Tiles of the map are transformed, multiplied point by point as small matrices (tiles x channels
// by channels x filters: the same register tile as in the direct convolution), and transformed
// back. Bias, relu and a 2 x 2 pool happen there, in registers: a tile holds such windows whole.
//
// A block of transformed tiles stays in the cache while all filters pass by. Where the transformed
// filters are the larger part (deep, small maps), all tiles are transformed first and every task
// takes a panel of filters, so that each filter is read once.
#include "arena.h"
#include "conv_panels.h"
#include "conv_paths.h"
#include "conv_source.h"
#include "conv_tile.h"
#include "numbers.h"
#include "parallel.h"
#include "reduce.h"
#include "streamed.h"
#include "winograd.h"

namespace attar::ATTAR_ISA {
namespace {

constexpr int64_t block_bytes = 400 << 10;   // of transformed tiles that stay in a thread's cache
constexpr int64_t shared_bytes = 8 << 20;    // of those that all threads read
constexpr int64_t tasks_per_thread = 4;

template <class T>
int64_t uncrowded(int64_t numbers) {
    return crowded<T>(numbers) ? numbers + lanes<T> : numbers;
}

// The first lanes, 0 in the others, whose memory is not touched.
template <class T>
ATTAR_INLINE Vec<T> load_first(const T* from, int64_t count) {
    if (count >= lanes<T>) return load(from);
    if constexpr (has_masked_loads) return load_between(from, 0, count);
    T numbers[lanes<T>] = {};
    for (int64_t i = 0; i < count; ++i) numbers[i] = from[i];
    return load(numbers);
}

template <int M, class T>
Panels<T> winograd_panels(const T* packed, const Convolution<T>& conv) {
    constexpr int64_t P = Winograd<M>::points;
    return {packed, conv.groups, conv.filters_per_group(), P * P * conv.channels_per_group};
}

template <int M, class T>
class WinogradConv {
  public:
    WinogradConv(const T* packed, const Images<const T>& in, const Images<T>& out,
                 const Convolution<T>& conv, const Pool& pool)
        : in_(in), out_(out), conv_(conv), pool_(pool),
          panels_(winograd_panels<M>(packed, conv)),
          tiles_y_(ceil_div(conv.y.out, M)), tiles_x_(ceil_div(conv.x.out, M)),
          tiles_(in.n * tiles_y_ * tiles_x_),
          channels_(conv.channels_per_group),
          pixel_(uncrowded<T>(round_up(channels_, L))), tile_(uncrowded<T>(P * P * pixel_)) {
        const int64_t bytes = tile_ * int64_t{sizeof(T)};
        block_ = max(1, block_bytes / bytes / tile_pixels) * tile_pixels;
        const int64_t filter_bytes = panels_.size() * int64_t{sizeof(T)};
        streams_ = Streamed::takes(out) && conv.filters_per_group() % L == 0;
        by_panels_ = filter_bytes / conv.groups > 2 * block_bytes;
        together_ = min(tiles_, max(block_, shared_bytes / bytes));
        if (!by_panels_) {
            const int64_t wanted = tasks_per_thread * get_num_threads();
            const int64_t even = (tiles_ * conv.groups + wanted - 1) / wanted;
            block_ = min(block_, round_up(even, tile_pixels));
        }
    }

    void run() const {
        for (int64_t group = 0; group < conv_.groups; ++group)
            if (by_panels_)
                run_by_panels(group);
            else
                run_by_blocks(group);
    }

    Workspace workspace() const {
        const size_t shared = by_panels_ ? static_cast<size_t>(together_ * tile_) * sizeof(T) : 0;
        return {Scratch(*this, nullptr).bytes, shared};
    }

  private:
    static constexpr int64_t L = lanes<T>;
    static constexpr int64_t P = Winograd<M>::points;

    struct Scratch {
        T *zeros, *tiles, *products;
        size_t bytes;

        Scratch(const WinogradConv& e, void* memory) {
            Arena arena(memory);
            zeros = arena.take<T>(e.pixel_);
            products = arena.take<T>(e.block_ * e.product_step(2));
            tiles = arena.take<T>(e.by_panels_ ? 0 : e.block_ * e.tile_);
            bytes = arena.used();
        }
    };

    static int64_t product_step(int64_t vectors) { return uncrowded<T>(P * P * vectors * L); }

    void run_by_blocks(int64_t group) const {
        const int64_t blocks = (tiles_ + block_ - 1) / block_;
        parallel_for(blocks, Scratch(*this, nullptr).bytes, [&](int64_t b, void* memory) {
            const Scratch scratch(*this, memory);
            const Range tiles{b * block_, min(tiles_, (b + 1) * block_)};
            transform_tiles(group, tiles, scratch.zeros, scratch.tiles);
            for (int64_t p = 0; p < panels_.count(); ++p)
                multiply(group, p, tiles, scratch.tiles, scratch.products);
            if (streams_) Streamed::fence();
        });
    }

    void run_by_panels(int64_t group) const {
        Buffer<T> shared(together_ * tile_);
        for (int64_t begin = 0; begin < tiles_; begin += together_) {
            const Range all{begin, min(tiles_, begin + together_)};
            const int64_t few = 4, blocks = (all.size() + block_ - 1) / block_;
            parallel_for((all.size() + few - 1) / few, Scratch(*this, nullptr).bytes,
                         [&](int64_t i, void* memory) {
                             const Range tiles{begin + i * few, min(all.end, begin + (i + 1) * few)};
                             transform_tiles(group, tiles, Scratch(*this, memory).zeros,
                                             shared.data() + i * few * tile_);
                         });
            parallel_for(panels_.count() * blocks, Scratch(*this, nullptr).bytes,
                         [&](int64_t task, void* memory) {
                             const int64_t b = task % blocks;
                             const Range tiles{begin + b * block_,
                                               min(all.end, begin + (b + 1) * block_)};
                             multiply(group, task / blocks, tiles, shared.data() + b * block_ * tile_,
                                      Scratch(*this, memory).products);
                             if (streams_) Streamed::fence();
                         });
        }
    }

    // Where a tile begins in the map of its image.
    struct Place {
        int64_t n, y, x;
    };
    Place place(int64_t tile) const {
        const int64_t row = tile / tiles_x_;
        return {row / tiles_y_, row % tiles_y_ * M, tile % tiles_x_ * M};
    }

    // [tile][point][channel]
    void transform_tiles(int64_t group, Range tiles, T* zeros, T* to) const {
        for (int64_t c = 0; c < channels_; ++c) zeros[c] = 0;
        for (int64_t t = tiles.begin; t < tiles.end; ++t, to += tile_) {
            const Place at = place(t);
            const T* pixels[P * P];
            const T* image = in_.image(at.n) + group * channels_;
            for (int64_t i = 0; i < P; ++i)
                for (int64_t j = 0; j < P; ++j) {
                    const int64_t y = at.y + i - conv_.y.pad_before;
                    const int64_t x = at.x + j - conv_.x.pad_before;
                    const bool inside = y >= 0 && y < in_.height && x >= 0 && x < in_.width;
                    pixels[i * P + j] = inside ? image + y * in_.y_stride + x * in_.x_stride : zeros;
                }
            const auto store_at = [&](int64_t c) {
                return [=, this](int e, Vec<T> v) { store(to + e * pixel_ + c, v); };
            };
            int64_t c = 0;
            for (; c + L <= channels_; c += L)
                transform_input<M, T>(
                    [&](int e) {
                        if (e % P >= P - M) __builtin_prefetch(pixels[e] + M * in_.x_stride + c);
                        return load(pixels[e] + c);
                    },
                    store_at(c));
            if (c < channels_)
                transform_input<M, T>(
                    [&](int e) { return load_first(pixels[e] + c, channels_ - c); }, store_at(c));
        }
    }

    // A panel of filters over transformed tiles.
    void multiply(int64_t group, int64_t p, Range tiles, const T* transformed, T* products) const {
        if constexpr (M == 4 && ATTAR_REGISTERS == 32)
            if (channels_ == 3) return multiply_rgb(group, p, tiles, transformed);
        multiply_in_memory(group, p, tiles, transformed, products);
    }

    // Products of three channels are not worth a way through memory. That widths are known here
    // saves the computation of addresses. Two tiles that share the weights they load were no
    // faster.
    void multiply_rgb(int64_t group, int64_t p, Range tiles, const T* transformed) const {
        const auto run = [&]<int V>() {
            for (int64_t t = tiles.begin; t < tiles.end; ++t, transformed += tile_)
                for (int v = 0; v < V; ++v) {
                    const T* weights = panels_.weights(group, p) + v * L;
                    finish(group, p, v, t, [&](int e) {
                        Vec<T> sum{};
#pragma GCC unroll 3
                        for (int c = 0; c < 3; ++c)
                            sum += load(weights + (e * 3 + c) * V * L) *
                                   broadcast(transformed[e * L + c]);
                        return sum;
                    });
                }
        };
        if (panels_.vectors(p) == 2)
            run.template operator()<2>();
        else
            run.template operator()<1>();
    }

    // Products as [tile][point][filter].
    void multiply_in_memory(int64_t group, int64_t p, Range tiles, const T* transformed,
                            T* products) const {
        static constexpr int64_t at_once = 0;
        const int64_t vectors = panels_.vectors(p), width = panels_.width(p);
        TileJob<T> job{};
        job.step = tile_;
        job.offsets = &at_once;
        job.runs = 1;
        job.length = channels_;
        job.to_step = product_step(vectors);
        job.filters = width;
        for (int64_t e = 0; e < P * P; ++e) {
            job.pixels = transformed + e * pixel_;
            job.weights = panels_.weights(group, p) + e * channels_ * width;
            job.to = products + e * width;
            run_tiles(job, tiles.size(), vectors);
        }
        for (int64_t t = tiles.begin; t < tiles.end; ++t, products += job.to_step)
            for (int64_t v = 0; v < vectors; ++v)
                finish(group, p, v, t, [&](int e) { return load(products + e * width + v * L); });
    }

    // Vector v of panel p at a tile: from its products to the answer.
    template <class Product>
    ATTAR_INLINE void finish(int64_t group, int64_t p, int64_t v, int64_t tile,
                             const Product& product_at) const {
        Vec<T> sum[M][M];
        transform_output<M, T>(product_at, sum);
        emit(group, p, v, tile, sum);
    }

    ATTAR_INLINE Vec<T> detect(Vec<T> v) const { return conv_.relu ? relu<T>(v) : v; }

    // Bias, relu and pool of vector v of panel p at a tile, into the answer.
    ATTAR_INLINE void emit(int64_t group, int64_t p, int64_t v, int64_t tile,
                           const Vec<T> (&sum)[M][M]) const {
        const Place at = place(tile);
        const Vec<T> bias = load(panels_.bias(group, p) + v * L);
        const int64_t filters = min(L, panels_.filters(p) - v * L);
        const int64_t rows = min(M, conv_.y.out - at.y), columns = min(M, conv_.x.out - at.x);
        T* to = out_.image(at.n) + group * conv_.filters_per_group() + panels_.first(p) + v * L;
        if (pool_.kind == PoolKind::none) {
            to += at.y * out_.y_stride + at.x * out_.x_stride;
#pragma GCC unroll 4
            for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
                for (int j = 0; j < M; ++j)
                    if (i < rows && j < columns)
                        write(to + i * out_.y_stride + j * out_.x_stride,
                              detect(sum[i][j] + bias), filters);
            return;
        }
        to += at.y / 2 * out_.y_stride + at.x / 2 * out_.x_stride;
        if (pool_.kind == PoolKind::average)
            pool<Sum<T>>(at, rows, columns, sum, bias, to, filters);
        else
            pool<Max<T>>(at, rows, columns, sum, bias, to, filters);
    }

    template <class Reduce>
    ATTAR_INLINE void pool(const Place& at, int64_t rows, int64_t columns,
                           const Vec<T> (&sum)[M][M], Vec<T> bias, T* to, int64_t filters) const {
        const int64_t y = at.y / 2, x = at.x / 2;
#pragma GCC unroll 2
        for (int i = 0; i < M / 2; ++i)
#pragma GCC unroll 2
            for (int j = 0; j < M / 2; ++j) {
                if (y + i >= pool_.y.out || x + j >= pool_.x.out) continue;
                // A maximum may be finished after it is taken, a mean may not.
                const auto cell = [&](int r, int c) {
                    const Vec<T> v = sum[2 * i + r][2 * j + c];
                    return Reduce::divides ? detect(v + bias) : v;
                };
                const auto column = [&](int c) {
                    return 2 * i + 1 < rows ? Reduce::combine(cell(0, c), cell(1, c)) : cell(0, c);
                };
                Vec<T> value = column(0);
                if (2 * j + 1 < columns) value = Reduce::combine(value, column(1));
                if constexpr (Reduce::divides)
                    value /= broadcast(static_cast<T>(pool_.divisor(pool_.y, y + i) *
                                                      pool_.divisor(pool_.x, x + j)));
                else
                    value = detect(value + bias);
                write(to + i * out_.y_stride + j * out_.x_stride, value, filters);
            }
    }

    ATTAR_INLINE void write(T* to, Vec<T> value, int64_t filters) const {
        if (streams_)
            Streamed::store(to, value);
        else
            store_first(to, value, filters);
    }

    const Images<const T>& in_;
    const Images<T>& out_;
    const Convolution<T>& conv_;
    const Pool& pool_;
    Panels<T> panels_;
    int64_t tiles_y_, tiles_x_, tiles_;  // of an image, and in all
    int64_t channels_, pixel_, tile_;    // numbers from point to point and from tile to tile
    int64_t block_, together_;           // tiles that are multiplied, or transformed, at a time
    bool by_panels_;
    bool streams_;  // whether results pass the caches: as whole vectors only
};

// A vector of doubles, of which the first `count` numbers are there; 0 for the others.
template <class T>
ATTAR_INLINE Vec<double> load_wide(const T* from, int64_t count) {
    if (count >= lanes<double>) return load_as<double>(from);
    Vec<double> value{};
    for (int64_t i = 0; i < count; ++i) value[i] = from[i];
    return value;
}

}  // namespace

template <int M, class T>
int64_t winograd_size(const Convolution<T>& conv) {
    return winograd_panels<M>(static_cast<const T*>(nullptr), conv).size();
}

template <int M, class T>
void pack_winograd(const Convolution<T>& conv, T* packed) {
    const Panels<T> panels = winograd_panels<M>(static_cast<const T*>(packed), conv);
    const int64_t channels = conv.channels_per_group, count = conv.filter_count;
    constexpr int64_t L = lanes<double>;
    panels.pack(conv.bias, channels, [&](int64_t group, int64_t panel, T* to, Range range) {
        const T* from = conv.filters + panels.first_of_all(group, panel);
        const int64_t width = panels.width(panel), present = panels.filters(panel);
        for (int64_t c = range.begin; c < range.end; ++c)
            for (int64_t k = 0; k < width; k += L)
                transform_filter<M>(
                    [&](int y, int x) {
                        const T* at = from + ((y * 3 + x) * channels + c) * count + k;
                        return load_wide(at, present - k);
                    },
                    [&](int e, Vec<double> value) {
                        store_as<double>(to + (e * channels + c) * width + k, value);
                    });
    });
}

template <int M, class T>
void winograd_conv(const T* packed, const Images<const T>& in, const Images<T>& out,
                   const Convolution<T>& conv, const Pool& pool) {
    WinogradConv<M, T>(packed, in, out, conv, pool).run();
}

template <int M, class T>
Workspace winograd_workspace(const Images<const T>& in, const Images<T>& out,
                             const Convolution<T>& conv, const Pool& pool) {
    return WinogradConv<M, T>(nullptr, in, out, conv, pool).workspace();
}

#define ATTAR_INSTANTIATE(M, T)                                                                   \
    template int64_t winograd_size<M>(const Convolution<T>&);                                     \
    template void pack_winograd<M>(const Convolution<T>&, T*);                                    \
    template void winograd_conv<M>(const T*, const Images<const T>&, const Images<T>&,            \
                                   const Convolution<T>&, const Pool&);                           \
    template Workspace winograd_workspace<M>(const Images<const T>&, const Images<T>&,            \
                                             const Convolution<T>&, const Pool&);
ATTAR_INSTANTIATE(2, float)
ATTAR_INSTANTIATE(2, double)
ATTAR_INSTANTIATE(4, float)
ATTAR_INSTANTIATE(4, double)

}  // namespace attar::ATTAR_ISA
