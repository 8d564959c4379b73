#include "operations.h"
#include "pool_op.h"

namespace attar::ATTAR_ISA {
namespace {

// half and bfloat as whole numbers that compare as the floats do. NaN of either sign is largest.
template <class T>
struct OrderedHalf {
    using Work = int16_t;
    static constexpr bool costly = false, reorders = true, is_norm = false;
    static constexpr int16_t infinity = same<T, Half> ? 0x7c00 : 0x7f80;

    template <class V>
    static ATTAR_INLINE V flip(V bits) {
        return bits ^ ((bits >> 15) & int16_t{0x7fff});
    }
    ATTAR_INLINE Vec<int16_t> operator()(const T* p) const {
        const Vec<int16_t> bits = load(reinterpret_cast<const int16_t*>(p));
        return (bits & int16_t{0x7fff}) > infinity ? broadcast(int16_t{0x7fff}) : flip(bits);
    }
    ATTAR_INLINE int16_t one(T value) const {
        const auto bits = static_cast<int16_t>(value.bits);
        return (bits & 0x7fff) > infinity ? int16_t{0x7fff}
                                          : static_cast<int16_t>(flip(int32_t{bits}));
    }
};

}  // namespace

void max_pool(Number number, const AnyInput& in, const AnyOutput& out, const Pool& pool) {
    with_type(number, [&](auto zero) {
        using T = decltype(zero);
        if constexpr (same<T, Half> || same<T, BFloat>)
            run_pool_op<T, Max<int16_t>>(in, out, pool, OrderedHalf<T>{});
        else
            run_pool_op<T, Max<T>>(in, out, pool, Plain<T>{});
    });
}

}  // namespace attar::ATTAR_ISA
