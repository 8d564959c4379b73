#include "operations.h"
#include "simd.h"

#define ATTAR_TEXT(x) ATTAR_TEXT_OF(x)
#define ATTAR_TEXT_OF(x) #x

namespace attar::ATTAR_ISA {

extern const Kernels kernels;
const Kernels kernels{
    ATTAR_TEXT(ATTAR_ISA),
    ATTAR_VECTOR_BYTES,
    {relu<float>, pool<float>, extract<float>},
    {relu<double>, pool<double>, extract<double>},
};

}  // namespace attar::ATTAR_ISA
