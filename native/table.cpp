#include "operations.h"
#include "simd.h"

#define ATTAR_TEXT(x) ATTAR_TEXT_OF(x)
#define ATTAR_TEXT_OF(x) #x

namespace attar::ATTAR_ISA {

extern const Kernels kernels;
const Kernels kernels{
    ATTAR_TEXT(ATTAR_ISA),
    ATTAR_VECTOR_BYTES,
    {extract<float>, packed_size<float>, pack<float>, convolve<float>, workspace<float>,
     fastest_path<float>, conv_filter_grad<float>, conv_input_grad<float>},
    {extract<double>, packed_size<double>, pack<double>, convolve<double>, workspace<double>,
     fastest_path<double>, conv_filter_grad<double>, conv_input_grad<double>},
    copy,
    scale,
    luma,
    relu,
    relu_grad,
    max_pool,
    sum_pool,
    pool_winners,
    max_pool_grad,
    sum_pool_grad,
    blur,
    blur_grad,
};

}  // namespace attar::ATTAR_ISA
