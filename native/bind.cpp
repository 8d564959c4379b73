// The way from Python to the kernels. Arguments are checked here once more, against the arrays that
// really came: a wrong call from Python is an exception, never a wrong address.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "bind.h"
#include "parallel.h"

using namespace attar;

namespace {

struct OwnedBlur {
    Blur blur;
    std::shared_ptr<const std::vector<double>> weights[2];
};

OwnedAxis make_axis(int64_t in, int64_t window, int64_t stride, int64_t dilation,
                    int64_t pad_before, int64_t pad_after, int64_t out) {
    for (const int64_t value : {in, window, stride, dilation, out})
        require(value >= 1 && value <= largest, "Axis: sizes must be at least 1");
    require(pad_before >= -largest && pad_before <= largest && pad_after >= 0 &&
                pad_after <= largest,
            "Axis: the padding is out of range");
    require(window <= largest / dilation && out <= largest / stride, "Axis: too large");
    return {{in, window, stride, dilation, pad_before, pad_after, out}, nullptr};
}

// Windows [begins[o], ends[o]) of any place and size, which grow from output to output.
OwnedAxis make_irregular_axis(int64_t in, const std::vector<int64_t>& begins,
                              const std::vector<int64_t>& ends) {
    require(!begins.empty() && begins.size() == ends.size() && in <= largest,
            "Axis: expected as many ends as begins");
    auto bounds = std::make_shared<std::vector<int64_t>>();
    int64_t window = 1, last_begin = 0, last_end = 0;
    for (size_t o = 0; o < begins.size(); ++o) {
        require(last_begin <= begins[o] && last_end <= ends[o] && begins[o] < ends[o] &&
                    ends[o] <= in,
                "Axis: windows must lie inside and grow from output to output");
        last_begin = begins[o], last_end = ends[o];
        window = std::max(window, ends[o] - begins[o]);
        bounds->insert(bounds->end(), {begins[o], ends[o]});
    }
    const int64_t* data = bounds->data();
    return {{in, window, 1, 1, 0, 0, static_cast<int64_t>(begins.size()), data}, bounds};
}

OwnedPool make_pool(const OwnedAxis& z, const OwnedAxis& y, const OwnedAxis& x,
                    const std::string& kind, bool count_include_pad, double p) {
    const PoolKind parsed = kind == "MAX"    ? PoolKind::max
                            : kind == "AVG"  ? PoolKind::average
                            : kind == "SUM"  ? PoolKind::sum
                            : kind == "LP"   ? PoolKind::norm
                            : kind == "NONE" ? PoolKind::none
                                             : throw nb::value_error("Pool: an unknown kind");
    require(p > 0, "Pool: p must be positive");
    for (const OwnedAxis* owned : {&z, &y, &x}) {
        const Axis& axis = owned->axis;
        for (int64_t o = 0; o < axis.out; ++o)
            require(axis.taps_within(o, 0, axis.in) > 0,
                    "Pool: a window sees no value of the input");
        if (parsed == PoolKind::none)
            require(axis.in == axis.out && axis.window == 1 && axis.stride == 1 &&
                        axis.pad_before == 0,
                    "Pool: NONE takes the map as it is");
    }
    return {{z.axis, y.axis, x.axis, parsed, count_include_pad, p}, {z.bounds, y.bounds, x.bounds}};
}

OwnedBlur make_blur(const OwnedAxis& max_y, const OwnedAxis& max_x, const OwnedAxis& y,
                    const OwnedAxis& x, std::vector<double> weights_y,
                    std::vector<double> weights_x, const std::string& border) {
    const Border parsed = border == "zero"       ? Border::zero
                          : border == "reflect"  ? Border::reflect
                          : border == "circular" ? Border::circular
                                                 : throw nb::value_error("Blur: an unknown border");
    for (const OwnedAxis* owned : {&max_y, &max_x, &y, &x})
        require(!owned->axis.bounds, "Blur: expected regular windows");
    require(max_y.axis.stride == 1 && max_x.axis.stride == 1, "Blur: expected dense maxima");
    require(max_y.axis.out == y.axis.in && max_x.axis.out == x.axis.in,
            "Blur: the filter does not fit the maxima");
    require(static_cast<int64_t>(weights_y.size()) == y.axis.window &&
                static_cast<int64_t>(weights_x.size()) == x.axis.window,
            "Blur: the axes do not fit the weights");
    for (const OwnedAxis* owned : {&y, &x}) {
        const Axis& axis = owned->axis;
        const int64_t beyond = parsed == Border::reflect ? axis.in - 1 : axis.in;
        require(axis.dilation == 1, "Blur: expected a filter without dilation");
        require(parsed == Border::zero ||
                    (axis.pad_before <= beyond &&
                     axis.first(axis.out - 1) + axis.window - axis.in <= beyond),
                "Blur: the border reaches too far");
    }
    for (const OwnedAxis* owned : {&max_y, &max_x})
        for (int64_t o = 0; o < owned->axis.out; ++o)
            require(owned->axis.taps_within(o, 0, owned->axis.in) > 0,
                    "Blur: a window sees no value of the input");
    const auto keep_y = std::make_shared<const std::vector<double>>(std::move(weights_y));
    const auto keep_x = std::make_shared<const std::vector<double>>(std::move(weights_x));
    return {{max_y.axis, max_x.axis, y.axis, x.axis, keep_y->data(), keep_x->data(), parsed},
            {keep_y, keep_x}};
}

void require_axes(const AnyInput& in, const AnyInput& out, const Pool& pool) {
    require(in.n == out.n, "input and output differ in their number of images");
    require(in.channels == out.channels, "input and output differ in channels");
    require_axis(in.depth, out.depth, pool.z, pool.z);
    require_axis(in.height, out.height, pool.y, pool.y);
    require_axis(in.width, out.width, pool.x, pool.x);
}

constexpr int number_bytes[] = {4, 8, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8};
constexpr int float_types = 4, types = 12;

// The number type that an array is said to hold: its code, checked against the size of an element.
template <class... Arrays>
Number number_of(int code, int count, const Arrays&... arrays) {
    require(code >= 0 && code < count, "an unknown type of numbers");
    (require(static_cast<int>(arrays.itemsize()) == number_bytes[code],
             "the array does not hold numbers of this type"),
     ...);
    return static_cast<Number>(code);
}

template <class T>
void run_extract(const Input& input, const Input& filters, const std::optional<Input>& bias,
                 const Output& output, const Axis& y, const Axis& x, const Pool& pool, bool relu) {
    const auto in = images<const T>(input);
    const auto out = images<T>(output);
    require(in.n == out.n, "input and output differ in their number of images");
    require(in.depth == 1 && out.depth == 1, "extract: expected flat images");
    require_axis(in.height, out.height, y, pool.y);
    require_axis(in.width, out.width, x, pool.x);
    require(!y.bounds && !x.bounds && !pool.y.bounds && !pool.x.bounds,
            "extract: expected regular windows");
    require(pool.y.in == y.out && pool.x.in == x.out, "extract: the pool does not fit the map");
    require(pool.kind == PoolKind::none || pool.kind == PoolKind::max ||
                pool.kind == PoolKind::average,
            "extract: expected MAX, AVG or NONE");
    require(filters.ndim() == 4 && contiguous(filters), "extract: expected dense filters of rank 4");
    require(filters.dtype() == input.dtype(), "extract: filters differ from the input in dtype");
    require(static_cast<int64_t>(filters.shape(0)) == y.window &&
                static_cast<int64_t>(filters.shape(1)) == x.window,
            "extract: the axes do not fit the filters");
    const auto channels = static_cast<int64_t>(filters.shape(2));
    const auto count = static_cast<int64_t>(filters.shape(3));
    require(channels >= 1 && in.channels % channels == 0 && count % (in.channels / channels) == 0,
            "extract: the channels do not fit the filters");
    require(out.channels == count, "extract: the output does not fit the filters");
    if (bias)
        require(bias->ndim() == 1 && static_cast<int64_t>(bias->shape(0)) == count &&
                    bias->dtype() == input.dtype() && contiguous(*bias),
                "extract: the bias does not fit the filters");
    const Convolution<T> conv{y,
                              x,
                              static_cast<const T*>(filters.data()),
                              bias ? static_cast<const T*>(bias->data()) : nullptr,
                              channels,
                              count,
                              in.channels / channels,
                              relu};
    nb::gil_scoped_release release;
    operations<T>().extract(in, out, conv, pool);
}

// Calls run(T{}) with the number type of both arrays.
template <class Run>
void with_type(const Input& in, const Output& out, const Run& run) {
    require(in.dtype() == out.dtype(), "input and output differ in dtype");
    if (in.dtype() == nb::dtype<float>())
        run(float{});
    else if (in.dtype() == nb::dtype<double>())
        run(double{});
    else
        throw nb::type_error("expected float32 or float64");
}

void run_copy(const Input& input, const Output& output) {
    const auto bytes = static_cast<int>(input.itemsize());
    require(bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8, "copy: expected numbers");
    require(input.itemsize() == output.itemsize() && input.ndim() == 5 && output.ndim() == 5,
            "copy: the arrays differ");
    for (size_t i = 0; i < 5; ++i)
        require(input.shape(i) == output.shape(i), "copy: the arrays differ in shape");
    nb::gil_scoped_release release;
    kernels().copy(bytes, images<const void>(input), images<void>(output));
}

void run_scale(const Input& in, const Output& out, float white) {
    require(contiguous(in) && contiguous(out), "scale: expected contiguous arrays");
    require((in.itemsize() == 1 || in.itemsize() == 2) && out.itemsize() == 4,
            "scale: expected 8 or 16 bits and float32");
    require(in.size() == out.size(), "scale: input and output differ in size");
    nb::gil_scoped_release release;
    kernels().scale(static_cast<int>(in.itemsize()), in.data(), static_cast<float*>(out.data()),
                    static_cast<int64_t>(in.size()), white);
}

void run_luma(const Input& in, const Output& out, int red, int green, int blue, float white) {
    require(contiguous(in) && contiguous(out), "luma: expected contiguous arrays");
    require(in.itemsize() == 1 && out.itemsize() == 4, "luma: expected 8 bits and float32");
    require(in.size() == 3 * out.size(), "luma: expected three numbers for each pixel");
    require(red >= 0 && green >= 0 && blue >= 0 && red + green + blue < 1 << 15,
            "luma: the weights are too large to be exact");
    const int32_t weights[3] = {red, green, blue};
    nb::gil_scoped_release release;
    kernels().luma(static_cast<const uint8_t*>(in.data()), static_cast<float*>(out.data()),
                   static_cast<int64_t>(out.size()), weights, white);
}

void run_relu(const Input& in, const Output& out, int code) {
    const Number number = number_of(code, types, in, out);
    require(contiguous(in) && contiguous(out), "relu: expected contiguous arrays");
    require(in.size() == out.size(), "relu: input and output differ in size");
    nb::gil_scoped_release release;
    kernels().relu(number, in.data(), out.data(), static_cast<int64_t>(in.size()));
}

void run_relu_grad(const Input& grad, const Input& features, const Output& out, int code) {
    const Number number = number_of(code, float_types, grad, features, out);
    require(contiguous(grad) && contiguous(features) && contiguous(out),
            "relu_grad: expected contiguous arrays");
    require(grad.size() == out.size() && features.size() == out.size(),
            "relu_grad: the arrays differ in size");
    nb::gil_scoped_release release;
    kernels().relu_grad(number, grad.data(), features.data(), out.data(),
                        static_cast<int64_t>(out.size()));
}

void run_pool(const Input& input, const Output& output, const OwnedPool& owned, int code) {
    const Pool& pool = owned.pool;
    require(pool.kind != PoolKind::none, "pool: expected a kind");
    const bool is_max = pool.kind == PoolKind::max;
    const Number number = number_of(code, is_max ? types : float_types, input, output);
    const auto in = images<const void>(input);
    require_axes(in, images<const void>(output), pool);
    nb::gil_scoped_release release;
    (is_max ? kernels().max_pool : kernels().sum_pool)(number, in, images<void>(output), pool);
}

int winner_bytes(const Pool& pool, size_t itemsize) {
    require(itemsize == 1 || itemsize == 2 || itemsize == 4, "winners: expected 1, 2 or 4 bytes");
    const double taps = double(pool.z.window) * double(pool.y.window) * double(pool.x.window);
    require(taps <= double(uint64_t{1} << (8 * itemsize)), "winners: too small for the window");
    return static_cast<int>(itemsize);
}

void run_pool_winners(const Input& input, const Output& output, const Output& winners,
                      const OwnedPool& owned, int code, bool rectified) {
    const Pool& pool = owned.pool;
    const Number number = number_of(code, types, input, output);
    require(pool.kind == PoolKind::max, "pool_winners: expected MAX");
    const auto in = images<const void>(input);
    require_axes(in, images<const void>(output), pool);
    require_axes(in, images<const void>(winners), pool);
    const int bytes = winner_bytes(pool, winners.itemsize());
    nb::gil_scoped_release release;
    kernels().pool_winners(number, in, images<void>(output), images<void>(winners), bytes, pool,
                           rectified);
}

void run_max_pool_grad(const Input& grad, const Input& winners, const Output& out,
                       const OwnedPool& owned, int code) {
    const Pool& pool = owned.pool;
    const Number number = number_of(code, float_types, grad, out);
    require(pool.kind == PoolKind::max, "max_pool_grad: expected MAX");
    const auto in = images<const void>(out);
    require_axes(in, images<const void>(grad), pool);
    require_axes(in, images<const void>(winners), pool);
    const int bytes = winner_bytes(pool, winners.itemsize());
    nb::gil_scoped_release release;
    kernels().max_pool_grad(number, images<const void>(grad), images<const void>(winners), bytes,
                            images<void>(out), pool);
}

void run_sum_pool_grad(const Input& grad, const Output& out, const OwnedPool& owned, int code) {
    const Pool& pool = owned.pool;
    const Number number = number_of(code, float_types, grad, out);
    require(pool.kind == PoolKind::sum || pool.kind == PoolKind::average,
            "sum_pool_grad: expected SUM or AVG");
    require_axes(images<const void>(out), images<const void>(grad), pool);
    nb::gil_scoped_release release;
    kernels().sum_pool_grad(number, images<const void>(grad), images<void>(out), pool);
}

void require_blur(const AnyInput& in, const AnyInput& out, const Blur& blur) {
    require(in.n == out.n && in.channels == out.channels, "blur: input and output do not fit");
    require(in.depth == 1 && out.depth == 1, "blur: expected flat images");
    require_axis(in.height, out.height, blur.max_y, blur.y);
    require_axis(in.width, out.width, blur.max_x, blur.x);
}

void run_blur(const Input& input, const Output& output, const OwnedBlur& owned, int code) {
    const Number number = number_of(code, float_types, input, output);
    require_blur(images<const void>(input), images<const void>(output), owned.blur);
    nb::gil_scoped_release release;
    kernels().blur(number, images<const void>(input), images<void>(output), owned.blur);
}

void run_blur_grad(const Input& grad, const Output& out, const OwnedBlur& owned, int code) {
    const Number number = number_of(code, float_types, grad, out);
    require(owned.blur.max_y.window == 1 && owned.blur.max_x.window == 1,
            "blur_grad: expected a blur without a maximum");
    require_blur(images<const void>(out), images<const void>(grad), owned.blur);
    nb::gil_scoped_release release;
    kernels().blur_grad(number, images<const void>(grad), images<void>(out), owned.blur);
}

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "attar's kernels. attar.nn is the way in.";
    nb::set_leak_warnings(false);  // plans are kept until the process ends
    kernels();  // a wrong ATTAR_ISA is an ImportError, not a surprise later

    nb::class_<OwnedAxis>(m, "Axis")
        .def("__init__",
             [](OwnedAxis* self, int64_t in, int64_t window, int64_t stride, int64_t dilation,
                int64_t pad_before, int64_t pad_after, int64_t out) {
                 new (self) OwnedAxis(
                     make_axis(in, window, stride, dilation, pad_before, pad_after, out));
             })
        .def_static("irregular", &make_irregular_axis);
    nb::class_<OwnedPool>(m, "Pool").def(
        "__init__",
        [](OwnedPool* self, const OwnedAxis& z, const OwnedAxis& y, const OwnedAxis& x,
           const std::string& kind, bool include_pad, double p) {
            new (self) OwnedPool(make_pool(z, y, x, kind, include_pad, p));
        });
    nb::class_<OwnedBlur>(m, "Blur").def(
        "__init__",
        [](OwnedBlur* self, const OwnedAxis& max_y, const OwnedAxis& max_x, const OwnedAxis& y,
           const OwnedAxis& x, const std::vector<double>& weights_y,
           const std::vector<double>& weights_x, const std::string& border) {
            new (self) OwnedBlur(make_blur(max_y, max_x, y, x, weights_y, weights_x, border));
        });

    m.def("copy", &run_copy);
    m.def("scale", &run_scale);
    m.def("luma", &run_luma);
    m.def("relu", &run_relu);
    m.def("relu_grad", &run_relu_grad);
    m.def("pool", &run_pool);
    m.def("pool_winners", &run_pool_winners);
    m.def("max_pool_grad", &run_max_pool_grad);
    m.def("sum_pool_grad", &run_sum_pool_grad);
    m.def("blur", &run_blur);
    m.def("blur_grad", &run_blur_grad);
    m.def(
        "extract",
        [](const Input& in, const Input& filters, const std::optional<Input>& bias,
           const Output& out, const OwnedAxis& y, const OwnedAxis& x, const OwnedPool& pool,
           bool relu) {
            with_type(in, out, [&](auto zero) {
                run_extract<decltype(zero)>(in, filters, bias, out, y.axis, x.axis, pool.pool, relu);
            });
        },
        nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg());

    bind_conv(m);

    m.def("set_num_threads", [](int count) {
        require(count >= 1, "set_num_threads: expected at least 1");
        set_num_threads(count);
    });
    m.def("get_num_threads", &get_num_threads);
    m.def("isa", [] { return std::string(kernels().isa); });
    m.def("available_isas", &available_isas);
    m.def("vector_bytes", [] { return kernels().vector_bytes; });
}
