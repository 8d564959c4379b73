// Convolutions whose filters are packed once, as an object of Python.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "bind.h"
#include "parallel.h"

namespace attar {
namespace {

constexpr const char* path_names[] = {"DIRECT", "WINOGRAD2", "WINOGRAD4"};

ConvPath path_of(const std::string& name) {
    for (int i = 0; i < 3; ++i)
        if (name == path_names[i]) return static_cast<ConvPath>(i);
    throw nb::value_error("PackedConvolution: an unknown path");
}

// Inputs from the first to the last that any output looks at: padding may be beyond all memory.
double reach(const Axis& conv, const Axis& pool) {
    const double map = double(pool.out - 1) * double(pool.stride) +
                       double(pool.window - 1) * double(pool.dilation);
    return map * double(conv.stride) + double(conv.window - 1) * double(conv.dilation) + 1;
}

// The sizes of images without any memory.
template <class T>
Images<T> dense(int64_t n, int64_t height, int64_t width, int64_t channels) {
    const int64_t row = width * channels;
    return {nullptr, n, 1, height, width, channels, height * row, 0, row, channels, 1};
}

Axis window_axis(int64_t window) { return {window, window, 1, 1, 0, 0, 1}; }

// Filters and bias in the order in which the path reads them, for the instruction set in use.
template <class T>
class PackedFilters {
  public:
    PackedFilters(const Convolution<T>& conv, ConvPath path)
        : conv_(conv), path_(path), size_(operations<T>().packed_size(path, conv)),
          packed_(static_cast<T*>(std::aligned_alloc(64, bytes()))) {
        if (!packed_) throw std::bad_alloc();
        operations<T>().pack(path, conv, packed_.get());
        conv_.filters = conv_.bias = nullptr;
    }

    size_t bytes() const { return (static_cast<size_t>(size_) * sizeof(T) + 63) / 64 * 64; }

    // The convolution over these images, every size checked.
    Convolution<T> over(const Images<const T>& in, const Images<T>& out, const Axis& y,
                        const Axis& x, const Pool& pool, bool relu) const {
        require(in.n == out.n, "input and output differ in their number of images");
        require(in.depth == 1 && out.depth == 1, "PackedConvolution: expected flat images");
        require_axis(in.height, out.height, y, pool.y);
        require_axis(in.width, out.width, x, pool.x);
        require(!y.bounds && !x.bounds && !pool.y.bounds && !pool.x.bounds,
                "PackedConvolution: expected regular windows");
        require(y.window == conv_.y.window && x.window == conv_.x.window,
                "PackedConvolution: the axes do not fit the filters");
        require(pool.y.in == y.out && pool.x.in == x.out,
                "PackedConvolution: the pool does not fit the map");
        require(pool.kind == PoolKind::none || pool.kind == PoolKind::max ||
                    pool.kind == PoolKind::average,
                "PackedConvolution: expected MAX, AVG or NONE");
        require(in.channels == conv_.channels_per_group * conv_.groups,
                "PackedConvolution: the channels do not fit the filters");
        require(out.channels == conv_.filter_count,
                "PackedConvolution: the output does not fit the filters");
        require(out.n == 0 || out.c_stride == 1 || out.channels == 1,
                "PackedConvolution: expected an output with adjacent channels");
        require(reach(y, pool.y) * reach(x, pool.x) * double(in.channels) <= double(largest) * 1024,
                "PackedConvolution: the windows reach too far");
        if (path_ != ConvPath::direct) require_winograd(in, y, x, pool);
        Convolution<T> conv = conv_;
        conv.y = y;
        conv.x = x;
        conv.relu = relu;
        return conv;
    }

    void run(const Input& input, const Output& output, const Axis& y, const Axis& x,
             const Pool& pool, bool relu) const {
        require(input.dtype() == nb::dtype<T>() && output.dtype() == nb::dtype<T>(),
                "PackedConvolution: the arrays differ from the filters in dtype");
        const auto in = images<const T>(input);
        auto out = images<T>(output);
        const Convolution<T> conv = over(in, out, y, x, pool, relu);
        out.c_stride = 1;
        nb::gil_scoped_release release;
        operations<T>().convolve(path_, packed_.get(), in, out, conv, pool);
    }

    size_t workspace(int64_t n, const Axis& y, const Axis& x, const Pool& pool) const {
        require(n >= 1 && n <= largest, "PackedConvolution: expected at least one image");
        const int64_t channels = conv_.channels_per_group * conv_.groups;
        const Images<T> out = dense<T>(n, pool.y.out, pool.x.out, conv_.filter_count);
        const auto in = dense<const T>(n, y.in, x.in, channels);
        const Convolution<T> conv = over(in, out, y, x, pool, false);
        const Workspace needed = operations<T>().workspace(path_, in, out, conv, pool);
        return needed.shared + needed.per_thread * static_cast<size_t>(get_num_threads());
    }

    const char* path() const { return path_names[static_cast<int>(path_)]; }

  private:
    static void require_winograd(const Images<const T>& in, const Axis& y, const Axis& x,
                                 const Pool& pool) {
        require(in.n == 0 || in.c_stride == 1 || in.channels == 1,
                "PackedConvolution: Winograd's transforms take an input with adjacent channels");
        require(y.stride == 1 && x.stride == 1 && y.dilation == 1 && x.dilation == 1,
                "PackedConvolution: Winograd's transforms take no strides and dilations");
        require(pool.kind == PoolKind::none || pooled_in_tiles(pool),
                "PackedConvolution: Winograd's tiles are pooled 2 x 2 with stride 2");
    }

    struct Free {
        void operator()(T* memory) const { std::free(memory); }
    };
    Convolution<T> conv_;
    ConvPath path_;
    int64_t size_;
    std::unique_ptr<T[], Free> packed_;
};

class PackedConvolution {
  public:
    PackedConvolution(const Input& filters, const std::optional<Input>& bias, int64_t groups,
                      const std::string& path)
        : packed_(filters.dtype() == nb::dtype<float>()
                      ? Packed(pack<float>(filters, bias, groups, path_of(path)))
                      : Packed(pack<double>(filters, bias, groups, path_of(path)))) {}

    // Calls visit with the packed filters of whichever dtype.
    template <class Visit>
    auto visit(const Visit& visit) const {
        return std::visit(visit, packed_);
    }

  private:
    using Packed = std::variant<PackedFilters<float>, PackedFilters<double>>;

    template <class T>
    static PackedFilters<T> pack(const Input& filters, const std::optional<Input>& bias,
                                 int64_t groups, ConvPath path) {
        require(filters.dtype() == nb::dtype<T>(), "PackedConvolution: expected float32 or float64");
        require(filters.ndim() == 4 && contiguous(filters),
                "PackedConvolution: expected dense filters of rank 4");
        int64_t size[4];
        for (size_t i = 0; i < 4; ++i) {
            size[i] = static_cast<int64_t>(filters.shape(i));
            require(size[i] >= 1, "PackedConvolution: expected filters that are not empty");
        }
        require(groups >= 1 && size[3] % groups == 0,
                "PackedConvolution: the groups do not fit the filters");
        if (bias)
            require(bias->ndim() == 1 && static_cast<int64_t>(bias->shape(0)) == size[3] &&
                        bias->dtype() == filters.dtype() && contiguous(*bias),
                    "PackedConvolution: the bias does not fit the filters");
        require(path == ConvPath::direct || (size[0] == 3 && size[1] == 3),
                "PackedConvolution: Winograd's transforms take filters of 3 x 3");
        return {Convolution<T>{window_axis(size[0]), window_axis(size[1]),
                               static_cast<const T*>(filters.data()),
                               bias ? static_cast<const T*>(bias->data()) : nullptr, size[2],
                               size[3], groups, false},
                path};
    }

    Packed packed_;
};

// What flows into the map of a convolution, and the convolution over these images, every size checked.
template <class T>
struct MapFlow {
    Images<const T> grad;
    AnyInput winners;
    int winner_bytes;
    Convolution<T> conv;

    template <class Filters>
    MapFlow(const Input& g, const Input& w, const Filters& filters, const Images<const T>& in,
            const Axis& y, const Axis& x, const Pool& pool)
        : grad(images<const T>(g)), winners(images<const void>(w)),
          winner_bytes(w.dtype() == nb::dtype<T>() ? 0 : static_cast<int>(w.itemsize())) {
        require(g.dtype() == nb::dtype<T>() && filters.dtype() == nb::dtype<T>(),
                "conv_grad: the arrays differ in dtype");
        const bool cells = w.dtype() == nb::dtype<uint8_t>() ||
                           w.dtype() == nb::dtype<uint16_t>() ||
                           w.dtype() == nb::dtype<uint32_t>();
        require(winner_bytes == 0 ? pool.kind == PoolKind::none : cells,
                "conv_grad: expected winners of uint8, uint16 or uint32");
        for (size_t i = 0; i < 5; ++i)
            require(g.shape(i) == w.shape(i), "conv_grad: the winners do not fit the gradient");
        require(in.n == grad.n && in.depth == 1 && grad.depth == 1,
                "conv_grad: the images do not fit the gradient");
        require(!y.bounds && !x.bounds && !pool.y.bounds && !pool.x.bounds,
                "conv_grad: expected regular windows");
        require(pool.y.in == y.out && pool.x.in == x.out,
                "conv_grad: the pool does not fit the map");
        require_axis(in.height, grad.height, y, pool.y);
        require_axis(in.width, grad.width, x, pool.x);
        require(filters.ndim() == 4 && contiguous(filters),
                "conv_grad: expected dense filters of rank 4");
        const auto size = [&](size_t i) { return static_cast<int64_t>(filters.shape(i)); };
        require(size(0) == y.window && size(1) == x.window && size(2) >= 1 &&
                    in.channels % size(2) == 0 && size(3) == grad.channels,
                "conv_grad: the filters do not fit");
        conv = {y, x, static_cast<const T*>(filters.data()), nullptr, size(2), size(3),
                in.channels / size(2), false};
        require(size(3) % conv.groups == 0, "conv_grad: the groups do not fit the filters");
        // Places under a row of windows are counted in 32 bits.
        const double rows = double(pool.y.extent() - 1) * double(y.stride) + double(y.extent());
        require(rows * reach(x, pool.x) * double(size(2)) < double(int64_t{1} << 31),
                "conv_grad: the windows reach too far");
    }
};

template <class T>
void run_filter_grad(const Input& grad, const Input& winners, const Input& input,
                     const Output& filters, const std::optional<Output>& bias, const Axis& y,
                     const Axis& x, const Pool& pool) {
    const auto in = images<const T>(input);
    const MapFlow<T> flow(grad, winners, filters, in, y, x, pool);
    require(input.dtype() == nb::dtype<T>(), "conv_grad: the arrays differ in dtype");
    if (bias)
        require(bias->ndim() == 1 && bias->shape(0) == grad.shape(4) &&
                    bias->dtype() == nb::dtype<T>() && contiguous(*bias),
                "conv_grad: the bias does not fit the filters");
    nb::gil_scoped_release release;
    operations<T>().conv_filter_grad(flow.grad, flow.winners, flow.winner_bytes, in, flow.conv,
                                     pool, static_cast<T*>(filters.data()),
                                     bias ? static_cast<T*>(bias->data()) : nullptr);
}

template <class T>
void run_input_grad(const Input& grad, const Input& winners, const Input& filters,
                    const Output& output, const Axis& y, const Axis& x, const Pool& pool) {
    const auto out = images<T>(output);
    require(output.dtype() == nb::dtype<T>(), "conv_grad: the arrays differ in dtype");
    const MapFlow<T> flow(grad, winners, filters, images<const T>(output), y, x, pool);
    nb::gil_scoped_release release;
    operations<T>().conv_input_grad(flow.grad, flow.winners, flow.winner_bytes, flow.conv, pool,
                                    out);
}

}  // namespace

void bind_conv(nb::module_& m) {
    nb::class_<PackedConvolution>(m, "PackedConvolution")
        .def(nb::init<const Input&, const std::optional<Input>&, int64_t, const std::string&>(),
             nb::arg(), nb::arg().none(), nb::arg(), nb::arg())
        .def("run",
             [](const PackedConvolution& self, const Input& in, const Output& out,
                const OwnedAxis& y, const OwnedAxis& x, const OwnedPool& pool, bool relu) {
                 self.visit([&](const auto& filters) {
                     filters.run(in, out, y.axis, x.axis, pool.pool, relu);
                 });
             })
        .def("workspace",
             [](const PackedConvolution& self, int64_t images, const OwnedAxis& y,
                const OwnedAxis& x, const OwnedPool& pool) {
                 return self.visit([&](const auto& filters) {
                     return filters.workspace(images, y.axis, x.axis, pool.pool);
                 });
             })
        .def_prop_ro("path", [](const PackedConvolution& self) {
            return self.visit([](const auto& filters) { return std::string(filters.path()); });
        })
        .def_prop_ro("nbytes", [](const PackedConvolution& self) {
            return self.visit([](const auto& filters) { return filters.bytes(); });
        });
    m.def(
        "conv_filter_grad",
        [](const Input& grad, const Input& winners, const Input& input, const Output& filters,
           const std::optional<Output>& bias, const OwnedAxis& y, const OwnedAxis& x,
           const OwnedPool& pool) {
            const auto run = grad.dtype() == nb::dtype<float>() ? run_filter_grad<float>
                                                                : run_filter_grad<double>;
            run(grad, winners, input, filters, bias, y.axis, x.axis, pool.pool);
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(),
        nb::arg());
    m.def("conv_input_grad", [](const Input& grad, const Input& winners, const Input& filters,
                                const Output& out, const OwnedAxis& y, const OwnedAxis& x,
                                const OwnedPool& pool) {
        const auto run =
            grad.dtype() == nb::dtype<float>() ? run_input_grad<float> : run_input_grad<double>;
        run(grad, winners, filters, out, y.axis, x.axis, pool.pool);
    });
    m.def("fastest_path", [](int64_t images, int64_t channels, int64_t filters, int64_t groups,
                             const OwnedAxis& y, const OwnedAxis& x, const OwnedPool& pool) {
        require(groups >= 1 && channels >= 1 && channels % groups == 0 && filters >= 1 &&
                    filters % groups == 0,
                "fastest_path: the groups do not fit");
        const Convolution<float> conv{y.axis, x.axis, nullptr, nullptr, channels / groups,
                                      filters, groups, false};
        const ConvPath path = kernels().f32.fastest_path(images, conv, pool.pool);
        return std::string(path_names[static_cast<int>(path)]);
    });
}

}  // namespace attar
