#include "arena.h"
#include "operations.h"
#include "parallel.h"
#include "pool_rows.h"
#include "tile.h"

namespace attar::ATTAR_ISA {
namespace {

// A copied piece of the image stays well inside a core's own cache.
constexpr int64_t copy_bytes = 128 << 10;
constexpr int64_t band_rows = 8;

template <class Reduce, class T>
class PooledImages {
  public:
    PooledImages(const Images<const T>& in, const Images<T>& out, const Pool& pool)
        : in_(in), out_(out), pool_(pool),
          interleaved_(lanes_hold_channels(out, out.channels, lanes<T>)),
          block_(interleaved_ ? in.channels : in.x_stride == 1 ? 1 : min(in.channels, 16)),
          blocks_((in.channels + block_ - 1) / block_),
          slack_(interleaved_ ? 0 : 3 * lanes<T>),
          rows_(pool.y, 0, 1, band_rows),
          columns_(pool.x, slack_, interleaved_ ? 1 : lanes<T>, columns_per_piece()) {}

    void run() const {
        parallel_for(in_.n * blocks_ * rows_.count(), Scratch(*this, nullptr).bytes,
                     [this](int64_t task, void* memory) {
                         const Scratch scratch(*this, memory);
                         const Range band = rows_[task % rows_.count()];
                         const int64_t plane = task / rows_.count();
                         for (int64_t i = 0; i < columns_.count(); ++i)
                             piece(plane / blocks_, plane % blocks_ * block_, band, columns_[i],
                                   scratch);
                     });
    }

  private:
    struct Scratch {
        const T** rows;
        T *tile, *reduced, *divisors, *staging;
        size_t bytes;

        Scratch(const PooledImages& p, void* memory) {
            const int64_t height = p.pool_.y.span(p.rows_.largest());
            const int64_t width = p.pool_.x.span(p.columns_.largest()) + p.slack_;
            const int64_t outputs = round_up(p.columns_.largest(), lanes<T>);
            Arena arena(memory);
            rows = arena.take<const T*>(p.pool_.y.window);
            tile = arena.take<T>(planar_size<T>(height, width, p.block_, 1));
            reduced = arena.take<T>(width);
            divisors = arena.take<T>(outputs);
            staging = arena.take<T>(outputs);
            bytes = arena.used();
        }
    };

    int64_t columns_per_piece() const {
        const int64_t height = pool_.y.span(min(pool_.y.out, band_rows));
        const int64_t columns = copy_bytes / (height * block_ * int64_t{sizeof(T)});
        const int64_t outputs = (columns - pool_.x.extent()) / pool_.x.stride;
        return max(interleaved_ ? 4 : 4 * lanes<T>, outputs);
    }

    void piece(int64_t n, int64_t channel, Range band, Range columns, const Scratch& scratch) const {
        const Axis &y = pool_.y, &x = pool_.x;
        const int64_t channels = min(block_, in_.channels - channel);
        const Box box{y.first(band.begin), y.span(band.size()), x.first(columns.begin),
                      x.span(columns.size()) + slack_, channel, channels};
        const Tile<T> tile =
            interleaved_
                ? interleaved_tile(in_, in_.image(n), box, Reduce::neutral(), scratch.tile)
                : planar_tile(in_, in_.image(n), box, 1, false, Reduce::neutral(), scratch.tile);
        if (Reduce::divides)
            fill_divisors(pool_, x, columns.begin, columns.size(), scratch.divisors);
        for (int64_t o = band.begin; o < band.end; ++o) {
            const T rows_divisor = Reduce::divides ? static_cast<T>(pool_.divisor(y, o)) : T{1};
            const T* first = tile.data + (o - band.begin) * y.stride * tile.row_stride;
            T* to = out_.image(n) + o * out_.y_stride + columns.begin * out_.x_stride +
                    channel * out_.c_stride;
            for (int64_t c = 0; c < (interleaved_ ? 1 : channels); ++c) {
                for (int64_t k = 0; k < y.window; ++k)
                    scratch.rows[k] = first + k * y.dilation * tile.row_stride + c * tile.plane_stride;
                if (interleaved_)
                    pool_interleaved_row<Reduce>(scratch.rows, y.window, tile.pixel_stride, x,
                                                 columns.size(), channels, false, scratch.divisors,
                                                 rows_divisor, to, out_.x_stride);
                else
                    pool_planar_row<Reduce>(scratch.rows, y.window, x, columns.size(),
                                            scratch.divisors, rows_divisor, scratch.reduced,
                                            to + c * out_.c_stride, out_.x_stride, scratch.staging);
            }
        }
    }

    const Images<const T>& in_;
    const Images<T>& out_;
    const Pool& pool_;
    bool interleaved_;
    int64_t block_, blocks_;  // channels that a task takes together
    int64_t slack_;           // columns that are read behind the last window
    Pieces rows_, columns_;
};

}  // namespace

void pool(Number number, const AnyInput& in, const AnyOutput& out, const Pool& pool) {
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        const auto from = in.as<const T>();
        const auto to = out.as<T>();
        if (pool.kind == PoolKind::max)
            PooledImages<Max<T>, T>(from, to, pool).run();
        else
            PooledImages<Sum<T>, T>(from, to, pool).run();
    };
    if (number == Number::f32)
        run(float{});
    else
        run(double{});
}

}  // namespace attar::ATTAR_ISA
