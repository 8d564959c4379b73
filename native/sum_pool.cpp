#include "operations.h"
#include "pool_op.h"

namespace attar::ATTAR_ISA {
namespace {

// |x|^p, whose sum a norm takes the root of.
template <class T>
struct Power {
    using Work = Wide<T>;
    static constexpr bool costly = true, reorders = false, is_norm = true;
    Work p, root;
    explicit Power(double exponent)
        : p(static_cast<Work>(exponent)), root(static_cast<Work>(1 / exponent)) {}

    ATTAR_INLINE Vec<Work> operator()(const T* from) const {
        const Vec<Work> x = load_as<Work>(from), magnitude = x < 0 ? -x : x;
        if (p == 1) return magnitude;
        if (p == 2) return x * x;
        Vec<Work> value;
        for (int64_t i = 0; i < lanes<Work>; ++i) value[i] = power(magnitude[i], p);
        return value;
    }
    ATTAR_INLINE Work one(T value) const {
        const Work x = widen(value), magnitude = x < 0 ? -x : x;
        return p == 1 ? magnitude : p == 2 ? x * x : power(magnitude, p);
    }
    ATTAR_INLINE Work result(Work sum) const {
        return p == 1 ? sum : p == 2 ? square_root(sum) : power(sum, root);
    }

  private:
    static ATTAR_INLINE Work power(Work x, Work exponent) {
        if constexpr (sizeof(Work) == sizeof(float))
            return __builtin_powf(x, exponent);
        else
            return __builtin_pow(x, exponent);
    }
    static ATTAR_INLINE Work square_root(Work x) {
        if constexpr (sizeof(Work) == sizeof(float))
            return __builtin_sqrtf(x);
        else
            return __builtin_sqrt(x);
    }
};

}  // namespace

void sum_pool(Number number, const AnyInput& in, const AnyOutput& out, const Pool& pool) {
    with_float_type(number, [&](auto zero) {
        using T = decltype(zero);
        using Add = Sum<Wide<T>>;
        if (pool.kind != PoolKind::norm)
            run_pool_op<T, Add>(in, out, pool, Plain<T>{});
        else
            run_pool_op<T, Add>(in, out, pool, Power<T>(pool.p));
    });
}

}  // namespace attar::ATTAR_ISA
