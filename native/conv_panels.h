// Filters in panels: as many as a register tile computes together, in the order in which it reads
// them. Packed once, they serve any number of images.
#pragma once

#include "operands.h"
#include "parallel.h"
#include "simd.h"
#include "tile.h"

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

    int64_t first_of_all(int64_t group, int64_t panel) const {
        return group * filters_ + first(panel);
    }

    const T* weights(int64_t group, int64_t panel) const {
        return data_ + (group * padded_ + first(panel)) * taps_;
    }
    const T* bias(int64_t group, int64_t panel) const {
        return data_ + groups_ * padded_ * taps_ + group * padded_ + first(panel);
    }

    // Writes it all: the bias here, and weights by calls of write(group, panel, to, range) for ranges
    // that make up [0, count), on any thread.
    template <class Write>
    void pack(const T* bias, int64_t count, const Write& write) const {
        for (int64_t group = 0; group < groups_; ++group)
            for (int64_t k = 0; k < padded_; ++k)
                const_cast<T*>(this->bias(group, 0))[k] =
                    bias && k < filters_ ? bias[group * filters_ + k] : T{0};
        constexpr int64_t at_once = 64;
        const int64_t parts = ceil_div(count, at_once), panels = this->count();
        parallel_for(groups_ * panels * parts, 0, [&](int64_t task, void*) {
            const int64_t part = task % parts, panel = task / parts % panels;
            const int64_t group = task / parts / panels;
            write(group, panel, const_cast<T*>(weights(group, panel)),
                  Range{part * at_once, min(count, (part + 1) * at_once)});
        });
    }

  private:
    static constexpr int64_t L = lanes<T>;
    const T* data_;
    int64_t groups_, filters_, padded_, taps_;
};

}  // namespace attar::ATTAR_ISA
