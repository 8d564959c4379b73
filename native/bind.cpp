// The only file that knows Python. Arguments are checked here once more, against the arrays that
// really came: a wrong call from Python is an exception, never a wrong address.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "dispatch.h"
#include "parallel.h"

namespace nb = nanobind;
using namespace attar;

namespace {

using Input = nb::ndarray<nb::ro, nb::device::cpu>;
using Output = nb::ndarray<nb::device::cpu>;

void require(bool condition, const char* message) {
    if (!condition) throw nb::value_error(message);
}

constexpr int64_t largest = int64_t{1} << 40;  // of any one number: products stay in 64 bits

Axis make_axis(int64_t in, int64_t window, int64_t stride, int64_t dilation, int64_t pad_before,
               int64_t pad_after, int64_t out) {
    for (const int64_t value : {in, window, stride, dilation, out})
        require(value >= 1 && value <= largest, "Axis: sizes must be at least 1");
    require(pad_before >= -largest && pad_before <= largest && pad_after >= 0 &&
                pad_after <= largest,
            "Axis: the padding is out of range");
    const Axis axis{in, window, stride, dilation, pad_before, pad_after, out};
    require(window <= largest / dilation && out <= largest / stride, "Axis: too large");
    return axis;
}

Pool make_pool(const Axis& y, const Axis& x, const std::string& kind, bool count_include_pad) {
    const PoolKind parsed = kind == "MAX"    ? PoolKind::max
                            : kind == "AVG"  ? PoolKind::average
                            : kind == "NONE" ? PoolKind::none
                                             : throw nb::value_error("Pool: MAX, AVG or NONE");
    for (const Axis* axis : {&y, &x}) {
        for (int64_t o = 0; o < axis->out; ++o)
            require(axis->taps_within(o, 0, axis->in) > 0,
                    "Pool: a window sees no value of the input");
        if (parsed == PoolKind::none)
            require(axis->in == axis->out && axis->window == 1 && axis->stride == 1 &&
                        axis->pad_before == 0,
                    "Pool: NONE takes the map as it is");
    }
    return {y, x, parsed, count_include_pad};
}

// The array as images: (n, height, width, channels), any strides.
template <class T, class Array>
Images<T> images(const Array& array) {
    require(array.ndim() == 4, "expected an array of rank 4");
    return {static_cast<T*>(const_cast<void*>(static_cast<const void*>(array.data()))),
            static_cast<int64_t>(array.shape(0)),
            static_cast<int64_t>(array.shape(1)),
            static_cast<int64_t>(array.shape(2)),
            static_cast<int64_t>(array.shape(3)),
            array.stride(0),
            array.stride(1),
            array.stride(2),
            array.stride(3)};
}

template <class In, class Out>
void require_axes(const Images<In>& in, const Images<Out>& out, const Axis& in_y, const Axis& in_x,
                  const Axis& out_y, const Axis& out_x) {
    require(in.n == out.n, "input and output differ in their number of images");
    require(in.height == in_y.in && in.width == in_x.in, "the axes do not fit the input");
    require(out.height == out_y.out && out.width == out_x.out, "the axes do not fit the output");
}

template <class Array>
bool contiguous(const Array& array) {
    int64_t expected = 1;
    for (size_t i = array.ndim(); i-- > 0;) {
        if (array.shape(i) != 1 && array.stride(i) != expected) return false;
        expected *= static_cast<int64_t>(array.shape(i));
    }
    return true;
}

template <class T>
const Operations<T>& operations() {
    if constexpr (sizeof(T) == sizeof(float))
        return kernels().f32;
    else
        return kernels().f64;
}

template <class T>
void run_relu(const Input& in, const Output& out) {
    require(contiguous(in) && contiguous(out), "relu: expected contiguous arrays");
    require(in.size() == out.size(), "relu: input and output differ in size");
    nb::gil_scoped_release release;
    operations<T>().relu(static_cast<const T*>(in.data()), static_cast<T*>(out.data()),
                         static_cast<int64_t>(in.size()));
}

template <class T>
void run_pool(const Input& input, const Output& output, const Pool& pool) {
    const auto in = images<const T>(input);
    const auto out = images<T>(output);
    require(pool.kind != PoolKind::none, "pool: expected MAX or AVG");
    require_axes(in, out, pool.y, pool.x, pool.y, pool.x);
    require(in.channels == out.channels, "pool: input and output differ in channels");
    nb::gil_scoped_release release;
    operations<T>().pool(in, out, pool);
}

template <class T>
void run_extract(const Input& input, const Input& filters, const std::optional<Input>& bias,
                 const Output& output, const Axis& y, const Axis& x, const Pool& pool, bool relu) {
    const auto in = images<const T>(input);
    const auto out = images<T>(output);
    require_axes(in, out, y, x, pool.y, pool.x);
    require(pool.y.in == y.out && pool.x.in == x.out, "extract: the pool does not fit the map");
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

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "attar's kernels. attar.nn is the way in.";
    kernels();  // a wrong ATTAR_ISA is an ImportError, not a surprise later

    nb::class_<Axis>(m, "Axis")
        .def("__init__",
             [](Axis* self, int64_t in, int64_t window, int64_t stride, int64_t dilation,
                int64_t pad_before, int64_t pad_after, int64_t out) {
                 new (self) Axis(make_axis(in, window, stride, dilation, pad_before, pad_after, out));
             });
    nb::class_<Pool>(m, "Pool").def(
        "__init__",
        [](Pool* self, const Axis& y, const Axis& x, const std::string& kind, bool include_pad) {
            new (self) Pool(make_pool(y, x, kind, include_pad));
        });

    m.def("relu", [](const Input& in, const Output& out) {
        with_type(in, out, [&](auto zero) { run_relu<decltype(zero)>(in, out); });
    });
    m.def("pool", [](const Input& in, const Output& out, const Pool& pool) {
        with_type(in, out, [&](auto zero) { run_pool<decltype(zero)>(in, out, pool); });
    });
    m.def(
        "extract",
        [](const Input& in, const Input& filters, const std::optional<Input>& bias,
           const Output& out, const Axis& y, const Axis& x, const Pool& pool, bool relu) {
            with_type(in, out, [&](auto zero) {
                run_extract<decltype(zero)>(in, filters, bias, out, y, x, pool, relu);
            });
        },
        nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg());

    m.def("set_num_threads", [](int count) {
        require(count >= 1, "set_num_threads: expected at least 1");
        set_num_threads(count);
    });
    m.def("get_num_threads", &get_num_threads);
    m.def("isa", [] { return std::string(kernels().isa); });
    m.def("available_isas", &available_isas);
    m.def("vector_bytes", [] { return kernels().vector_bytes; });
}
