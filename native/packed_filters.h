// Filters in the order in which the row kernels read them.
#pragma once

#include "arena.h"
#include "operands.h"
#include "simd.h"

namespace attar::ATTAR_ISA {

// [group][block][tap][filter of the block], the last block of a group padded with zeros. Taps in the
// order channel, row, column: the kernels go through the input plane by plane.
template <class T>
class PackedFilters {
  public:
    PackedFilters(const Convolution<T>& conv, int64_t block)
        : block_(block),
          blocks_((conv.filters_per_group() + block - 1) / block),
          taps_(conv.taps()),
          weights_(conv.groups * blocks_ * taps_ * block),
          bias_(conv.groups * blocks_ * block) {
        const int64_t channels = conv.channels_per_group;
        for (int64_t group = 0; group < conv.groups; ++group)
            for (int64_t b = 0; b < blocks_; ++b) {
                T* to = const_cast<T*>(weights(group, b));
                const int64_t count = min(block, conv.filters_per_group() - b * block);
                const int64_t first = group * conv.filters_per_group() + b * block;
                const auto copy_tap = [&](int64_t ky, int64_t kx, int64_t c) {
                    const T* from = conv.filters + first +
                                    ((ky * conv.x.window + kx) * channels + c) * conv.filter_count;
                    for (int64_t f = 0; f < block; ++f) *to++ = f < count ? from[f] : T{0};
                };
                for (int64_t c = 0; c < channels; ++c)
                    for (int64_t ky = 0; ky < conv.y.window; ++ky)
                        for (int64_t kx = 0; kx < conv.x.window; ++kx) copy_tap(ky, kx, c);
                T* bias_to = const_cast<T*>(bias(group, b));
                for (int64_t f = 0; f < block; ++f)
                    bias_to[f] = conv.bias && f < count ? conv.bias[first + f] : T{0};
            }
    }

    int64_t block() const { return block_; }
    int64_t blocks() const { return blocks_; }  // per group
    const T* weights(int64_t group, int64_t b) const {
        return weights_.data() + (group * blocks_ + b) * taps_ * block_;
    }
    const T* bias(int64_t group, int64_t b) const {
        return bias_.data() + (group * blocks_ + b) * block_;
    }

  private:
    int64_t block_, blocks_, taps_;
    Buffer<T> weights_, bias_;
};

}  // namespace attar::ATTAR_ISA
