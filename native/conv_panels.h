// Filters in panels: as many as a register tile computes together, in the order in which it reads
// them. Packed once, they serve any number of images.
#pragma once

#include "operands.h"
#include "simd.h"

namespace attar::ATTAR_ISA {

// [group][panel][tap][filter of the panel], then the bias as [group][panel][filter]. A panel is
// two vectors wide, the last of a group one where that is enough; lanes that are left over are 0.
template <class T>
class Panels {
  public:
    Panels(const T* data, int64_t groups, int64_t filters_per_group, int64_t taps)
        : data_(data), groups_(groups), filters_(filters_per_group),
          padded_(round_up(filters_per_group, L)), taps_(taps) {}

    int64_t count() const { return ceil_div(padded_, 2 * L); }  // per group
    int64_t first(int64_t panel) const { return panel * 2 * L; }       // filter of the group
    int64_t vectors(int64_t panel) const { return min(2, padded_ / L - 2 * panel); }
    int64_t width(int64_t panel) const { return vectors(panel) * L; }
    int64_t filters(int64_t panel) const { return min(2 * L, filters_ - first(panel)); }
    int64_t size() const { return groups_ * padded_ * (taps_ + 1); }

    const T* weights(int64_t group, int64_t panel) const {
        return data_ + (group * padded_ + first(panel)) * taps_;
    }
    const T* bias(int64_t group, int64_t panel) const {
        return data_ + groups_ * padded_ * taps_ + group * padded_ + first(panel);
    }

    // What packing writes, into memory that was all 0: filters are counted through the groups.
    T* weight_place(int64_t tap, int64_t filter) const {
        const int64_t group = filter / filters_, k = filter % filters_, panel = k / (2 * L);
        return const_cast<T*>(weights(group, panel)) + tap * width(panel) + k % (2 * L);
    }
    T* bias_place(int64_t filter) const {
        return const_cast<T*>(bias(filter / filters_, 0)) + filter % filters_;
    }
    void pack_bias(const Convolution<T>& conv) const {
        for (int64_t k = 0; conv.bias && k < conv.filter_count; ++k) *bias_place(k) = conv.bias[k];
    }

  private:
    static constexpr int64_t L = lanes<T>;
    const T* data_;
    int64_t groups_, filters_, padded_, taps_;
};

}  // namespace attar::ATTAR_ISA
