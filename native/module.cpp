// The extension as Python sees it: every size and dtype is checked here, and nothing further in.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <string>

#include "block.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace labelnext {

extern const Kernels kernels_baseline;
#if defined(LABELNEXT_X86)
extern const Kernels kernels_avx2, kernels_avx512;
#endif

namespace {

// The best first.
std::vector<const Kernels*> usable() {
    std::vector<const Kernels*> found;
#if defined(LABELNEXT_X86)
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                          __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                          __builtin_cpu_supports("popcnt");
    if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        found.push_back(&kernels_avx512);
    if (has_avx2) found.push_back(&kernels_avx2);
#endif
    found.push_back(&kernels_baseline);
    return found;
}

std::atomic<const Kernels*> chosen{usable().front()};

const Kernels& kernels() { return *chosen.load(std::memory_order_relaxed); }

std::vector<std::string> instructions() {
    std::vector<std::string> names;
    for (const Kernels* each : usable()) names.push_back(each->instructions);
    return names;
}

void use(const std::string& name) {
    for (const Kernels* each : usable())
        if (name == each->instructions) {
            chosen = each;
            return;
        }
    throw nb::value_error(("This processor has no instructions " + name + ".").c_str());
}

void require(bool is_so, const std::string& otherwise) {
    if (!is_so) throw nb::value_error(otherwise.c_str());
}

template <class T, class... Shape>
using Array = nb::ndarray<T, nb::device::cpu, nb::c_contig, Shape...>;
template <class T>
using Vector = Array<T, nb::ndim<1>>;
template <class T>
using Square = Array<T, nb::ndim<2>>;

template <class T>
T* data_of(const Vector<T>& values, size_t n, const char* name) {
    require(values.size() == n, std::string(name) + " must have " + std::to_string(n) +
                                    " numbers, got " + std::to_string(values.size()) + ".");
    require(reinterpret_cast<uintptr_t>(values.data()) % alignof(T) == 0,
            std::string(name) + " must be aligned.");
    return values.data();
}

// A buffer of Python's, kept as long as this lives.
class Buffer {
  public:
    Buffer(nb::handle array, int n_dimensions, const char* name) {
        if (PyObject_GetBuffer(array.ptr(), &view, PyBUF_RECORDS_RO)) throw nb::python_error();
        if (view.ndim != n_dimensions) {
            PyBuffer_Release(&view);
            require(false, std::string(name) + " must have " + std::to_string(n_dimensions) +
                               " dimensions.");
        }
    }
    Buffer(const Buffer&) = delete;
    ~Buffer() { PyBuffer_Release(&view); }

    const char* data() const { return static_cast<const char*>(view.buf); }
    int64_t shape(int axis) const { return view.shape[axis]; }
    int64_t stride(int axis) const { return view.strides[axis]; }

    Type type() const {
        const char* format = view.format ? view.format : "B";
        const uint16_t one = 1;
        const bool is_little = *reinterpret_cast<const char*>(&one) == 1;
        if (*format == '@' || *format == '=' || *format == (is_little ? '<' : '>')) ++format;
        const auto size = view.itemsize;
        if (*format && !format[1]) {
            if (*format == 'e') return Type::F16;
            if (*format == 'f') return Type::F32;
            if (*format == 'd') return Type::F64;
            const auto of_size = [size](Type t1, Type t2, Type t4, Type t8) {
                return size == 1 ? t1 : size == 2 ? t2 : size == 4 ? t4 : t8;
            };
            if (std::strchr("bhilq", *format))
                return of_size(Type::I8, Type::I16, Type::I32, Type::I64);
            if (std::strchr("BHILQ", *format))
                return of_size(Type::U8, Type::U16, Type::U32, Type::U64);
        }
        throw nb::type_error(
            (std::string("Native integers or floats of at most 64 bits are read, not \"") +
             (view.format ? view.format : "") + "\".")
                .c_str());
    }

    // Whether these are int64, not int32.
    bool is_wide() const {
        const Type found = type();
        require(found == Type::I32 || found == Type::I64, "Places must be int32 or int64.");
        require(shape(0) == 0 || stride(0) == view.itemsize, "Places must be contiguous.");
        return found == Type::I64;
    }

  private:
    Py_buffer view;
};

// A `Matrix` with the arrays that it views.
class MatrixOf {
  public:
    MatrixOf(nb::handle array, bool is_bfloat16) : values(std::in_place, array, 2, "A matrix") {
        m.data = values->data();
        m.type = values->type();
        m.n_rows = values->shape(0);
        m.n_columns = values->shape(1);
        m.row_stride = values->stride(0);
        m.column_stride = values->stride(1);
        m.is_sparse = false;
        if (is_bfloat16) {
            require(m.type == Type::U16, "bfloat16 comes as uint16.");
            m.type = Type::BF16;
        }
    }

    MatrixOf(nb::handle data, nb::handle indices, nb::handle indptr, int64_t n_columns)
        : values(std::in_place, data, 1, "The numbers"),
          columns(std::in_place, indices, 1, "indices"),
          starts(std::in_place, indptr, 1, "indptr") {
        m.data = values->data();
        m.type = values->type();
        m.n_rows = starts->shape(0) - 1;
        m.n_columns = n_columns;
        m.row_stride = 0;
        m.column_stride = values->stride(0);
        m.is_sparse = true;
        m.wide_columns = columns->is_wide();
        m.wide_starts = starts->is_wide();
        m.columns = columns->data();
        m.starts = starts->data();
        require(m.n_rows >= 0 && n_columns >= 0, "indptr has no numbers.");
        require(values->shape(0) <= 1 || m.column_stride == item_size(), "Not contiguous.");
        require(place(0) >= 0 && place(m.n_rows) <= values->shape(0) &&
                    place(m.n_rows) <= columns->shape(0),
                "indptr goes beyond the numbers.");
    }

    Matrix m;

  private:
    int64_t item_size() const {
        switch (m.type) {
            case Type::I8: case Type::U8: return 1;
            case Type::F16: case Type::BF16: case Type::I16: case Type::U16: return 2;
            case Type::F32: case Type::I32: case Type::U32: return 4;
            default: return 8;
        }
    }
    int64_t place(int64_t row) const {
        int64_t wide = 0;
        int32_t narrow = 0;
        if (m.wide_starts) {
            std::memcpy(&wide, m.starts + 8 * row, 8);
            return wide;
        }
        std::memcpy(&narrow, m.starts + 4 * row, 4);
        return narrow;
    }

    std::optional<Buffer> values, columns, starts;
};

// Working memory for one call.
class Memory {
  public:
    Memory(int64_t n_classes, int64_t n_features, int64_t n_words)
        : a(n_classes), row(n_features), other(n_features), products(WORD), marks(n_words) {}

    Scratch scratch() {
        return {a.data(), row.data(), other.data(), products.data(), marks.data()};
    }

  private:
    std::vector<double> a, row, other, products;
    std::vector<uint64_t> marks;
};

void check_alike(const Stretch& rows, const Centres& centres) {
    require(centres.n > 0, "There must be centres.");
    require(rows.proba.n_columns == centres.n_classes &&
                rows.features.n_columns == centres.n_features &&
                rows.features.is_sparse == centres.is_sparse,
            "Rows and centres must have the same classes and features.");
}

void check_blocks(const std::vector<Block*>& blocks) {
    for (const Block* each : blocks)
        if (!each) throw nb::type_error("None is no block.");
}

Block* take(const Block& block, Vector<const int64_t> rows) {
    const auto n = static_cast<int64_t>(rows.size());
    nb::gil_scoped_release released;
    return new Block({block.part(rows.data(), n)}, block.centres().least_product);
}

Block* joined(const std::vector<Block*>& blocks) {
    check_blocks(blocks);
    nb::gil_scoped_release released;
    std::vector<int64_t> rows;
    double least_product = INFINITY;
    for (const Block* each : blocks) {
        least_product = std::min(least_product, each->centres().least_product);
        for (auto i = static_cast<int64_t>(rows.size()); i < each->centres().n; ++i)
            rows.push_back(i);
    }
    std::vector<Part> parts;
    for (const Block* each : blocks) parts.push_back(each->part(rows.data(), each->centres().n));
    return new Block(parts, least_product);
}

void lower(const Block& block, double* d2, Block& other) {
    check_alike(block.rows(), other.centres());
    Centres centres = other.with_tables();
    centres.least_product = std::min(centres.least_product, block.centres().least_product);
    Memory memory(centres.n_classes, centres.n_features, centres.n_words);
    std::vector<double> fall(centres.n);
    int64_t counters[N_COUNTERS] = {};
    kernels().lower(block.rows(), block.known(), 0, block.known().n_rows, d2, false, centres,
                    fall.data(), counters, memory.scratch());
}

// What a block holds, as arrays of NumPy's that keep it.
using View = nb::ndarray<nb::numpy, nb::ro>;

template <class T>
View view(const T* values, std::initializer_list<int64_t> lengths) {
    size_t shape[2] = {}, n = 0;
    for (const int64_t length : lengths) shape[n++] = static_cast<size_t>(length);
    return {values, n, shape, nb::handle(), nullptr, nb::dtype<T>()};
}

View labels_of(const Block& b) { return view(b.centres().entries, {b.centres().n}); }

View squared_norms_of(const Block& b) { return view(b.known().squared_norms, {b.centres().n}); }

View residuals_of(const Block& b) {
    return view(b.centres().residuals, {b.centres().n, b.centres().n_classes});
}

// Of sparse rows the numbers of CSR.
View features_of(const Block& b) {
    const Centres& c = b.centres();
    if (c.is_sparse) return view(c.sparse_features.values, {c.sparse_features.starts[c.n]});
    return c.features.narrow ? view(c.features.narrow, {c.n, c.n_features})
                             : view(c.features.wide, {c.n, c.n_features});
}

View columns_of(const Block& b) {
    const Centres& c = b.centres();
    return view(c.sparse_features.columns, {c.is_sparse ? c.sparse_features.starts[c.n] : 0});
}

View starts_of(const Block& b) {
    const Centres& c = b.centres();
    return view(c.sparse_features.starts, {c.is_sparse ? c.n + 1 : 0});
}

void distances_within(const Block& block, const double* below, double* out) {
    const Centres& centres = block.centres();
    Memory memory(0, centres.n_features, 0);
    kernels().distances_below(centres, below, out, memory.scratch());
}

// See `Factors.accept`.
std::pair<std::vector<int64_t>, int64_t> accept(
    const Block& block, Vector<const int64_t> drawn, Vector<const double> bars, Vector<double> d2,
    const std::vector<Block*>& waiting, int64_t most, nb::object admit) {
    const int64_t n = block.centres().n;
    const int64_t* rows = data_of(drawn, static_cast<size_t>(n), "rows");
    const double* bar = data_of(bars, static_cast<size_t>(n), "bars");
    double* now = data_of(d2, static_cast<size_t>(n), "d2");
    check_blocks(waiting);
    const auto is_admitted = [&](int64_t row) {
        if (admit.is_none()) return true;
        nb::gil_scoped_acquire held;
        const int answer = PyObject_IsTrue(admit(row).ptr());
        if (answer < 0) throw nb::python_error();
        return answer > 0;
    };
    nb::gil_scoped_release released;
    for (Block* each : waiting) lower(block, now, *each);
    std::vector<double> among(n * n);
    distances_within(block, now, among.data());
    std::vector<int64_t> accepted;
    for (int64_t j = 0; j < n; ++j) {
        if (!(bar[j] < now[j]) || !is_admitted(rows[j])) continue;
        accepted.push_back(j);
        if (static_cast<int64_t>(accepted.size()) == most) return {accepted, j + 1};
        for (int64_t i = j + 1; i < n; ++i)
            now[i] = rows[i] == rows[j] ? 0.0 : std::min(now[i], among[j * n + i]);
    }
    return {accepted, n};
}

// A `Known` with its arrays.
class KnownOf {
  public:
    KnownOf(nb::ndarray<nb::device::cpu, nb::c_contig, nb::ndim<1>> labels_,
            nb::ndarray<nb::device::cpu, nb::c_contig, nb::ndim<1>> runners_up_,
            Vector<double> squared_norms_, Square<double> scalars_, double bias)
        : labels(labels_), runners_up(runners_up_), squared_norms(squared_norms_),
          scalars(scalars_) {
        const size_t n = squared_norms.size();
        require(scalars.shape(0) == n && scalars.shape(1) == N_SCALARS,
                "scalars must have shape (n, 5).");
        known = {static_cast<int64_t>(n),
                 as_labels(labels, n),
                 as_labels(runners_up, n),
                 data_of(squared_norms, n, "squared_norms"),
                 reinterpret_cast<Scalars*>(scalars.data()),
                 bias};
    }

    Block* gather(Vector<const int64_t> rows, const MatrixOf& proba, const MatrixOf& features,
                  Vector<const int64_t> places, double least_product) const {
        const auto n = static_cast<int64_t>(rows.size());
        const int64_t* at = data_of(places, rows.size(), "places");
        nb::gil_scoped_release released;
        const bool is_narrow = fits_float32(proba.m.type);
        return new Block({{known, proba.m, features.m, is_narrow, rows.data(), at, n}},
                         least_product);
    }

    std::pair<int64_t, bool> read(int64_t lo, int64_t hi, const MatrixOf& proba,
                                  const MatrixOf& features, int64_t first,
                                  Vector<const double> direction, double tolerance) const {
        const Stretch stretch = checked(proba, features, first, lo, hi);
        const double* u = data_of(direction, static_cast<size_t>(features.m.n_columns), "direction");
        const int64_t most = known.labels.is_wide ? INT32_MAX : UINT16_MAX;
        require(0 < proba.m.n_columns && proba.m.n_columns <= most, "Too many classes, or none.");
        nb::gil_scoped_release released;
        Memory memory(proba.m.n_columns, features.m.n_columns, 0);
        const Read found =
            kernels().read(stretch, known, lo, hi, u, tolerance, memory.scratch());
        return {found.bad, found.has_negative};
    }

    void lower(int64_t lo, int64_t hi, const MatrixOf& proba, const MatrixOf& features,
               int64_t first, Vector<double> d2, bool fresh, Block& block, Vector<double> fall,
               Vector<int64_t> counters) const {
        const Stretch stretch = checked(proba, features, first, lo, hi);
        double* values = data_of(d2, static_cast<size_t>(known.n_rows), "d2");
        double* falls = data_of(fall, static_cast<size_t>(block.centres().n), "fall");
        int64_t* counts = data_of(counters, N_COUNTERS, "counters");
        nb::gil_scoped_release released;
        check_alike(stretch, block.centres());
        const Centres& centres = block.with_tables();
        Memory memory(centres.n_classes, centres.n_features, centres.n_words);
        kernels().lower(stretch, known, lo, hi, values, fresh, centres, falls, counts,
                        memory.scratch());
    }

    void changing(Vector<const int64_t> cuts, Vector<const double> d2, Block& block,
                  Vector<bool> out) const {
        require(block.centres().n > 0, "There must be centres.");
        const int64_t n_groups = static_cast<int64_t>(out.size());
        const int64_t* ends = data_of(cuts, out.size() + 1, "cuts");
        const double* values = data_of(d2, static_cast<size_t>(known.n_rows), "d2");
        require(0 <= ends[0] && ends[n_groups] <= known.n_rows, "cuts go beyond the rows.");
        nb::gil_scoped_release released;
        kernels().changing(known, ends, n_groups, values, block.with_tables(), out.data());
    }

  private:
    static Labels as_labels(const nb::ndarray<nb::device::cpu, nb::c_contig, nb::ndim<1>>& values,
                            size_t n) {
        const bool is_wide = values.dtype() == nb::dtype<int32_t>();
        if (!is_wide && values.dtype() != nb::dtype<uint16_t>())
            throw nb::type_error("Labels must be uint16 or int32.");
        require(values.size() == n, "There must be as many labels as rows.");
        return {static_cast<char*>(values.data()), is_wide};
    }

    Stretch checked(const MatrixOf& proba, const MatrixOf& features, int64_t first, int64_t lo,
                    int64_t hi) const {
        require(proba.m.n_rows == features.m.n_rows, "Both factors must have as many rows.");
        require(0 <= first && first <= lo && lo <= hi && hi <= known.n_rows && hi - first <= proba.m.n_rows,
                "These rows are not all there.");
        return {proba.m, features.m, first};
    }

    nb::ndarray<nb::device::cpu, nb::c_contig, nb::ndim<1>> labels, runners_up;
    Vector<double> squared_norms;
    Square<double> scalars;
    Known known;
};

void lower_to_bound(Vector<const double> squared_norms, double norm, double widened,
                    Vector<double> values) {
    const size_t n = values.size();
    const double* norms = data_of(squared_norms, n, "squared_norms");
    nb::gil_scoped_release released;
    kernels().lower_to_bound(norms, norm, widened, values.data(), static_cast<int64_t>(n));
}

void sum_weights(Vector<const double> values, double first, double second, int64_t group,
                 Vector<int64_t> totals) {
    const auto n = static_cast<int64_t>(values.size());
    require(group > 0 && static_cast<int64_t>(totals.size()) == (n + group - 1) / group,
            "There must be a total for each group.");
    nb::gil_scoped_release released;
    kernels().sum_weights(values.data(), n, first, second, group, totals.data());
}

void find(Vector<const double> values, double first, double second, int64_t group,
          Vector<const int64_t> starts, Vector<const int64_t> tickets, Vector<int64_t> rows,
          Vector<int64_t> weights) {
    const auto n = static_cast<int64_t>(values.size());
    const size_t n_tickets = tickets.size();
    require(n > 0 && group > 0 && static_cast<int64_t>(starts.size()) == (n + group - 1) / group + 1,
            "There must be a start of each group, and the end of all.");
    int64_t *found = data_of(rows, n_tickets, "rows"), *of = data_of(weights, n_tickets, "weights");
    nb::gil_scoped_release released;
    kernels().find(values.data(), n, first, second, group, starts.data(), tickets.data(),
                   static_cast<int64_t>(n_tickets), found, of);
}

}  // namespace

// Arrays are written to, so none is converted.
NB_MODULE(_kernels, m) {
    // What lives until the interpreter ends, in an interrupted program, is no news for its user.
    nb::set_leak_warnings(false);
    m.attr("N_SCALARS") = N_SCALARS;
    m.attr("COUNTERS") = nb::make_tuple(COUNTERS[0], COUNTERS[1], COUNTERS[2], COUNTERS[3]);
    m.def("instructions", instructions);
    m.def("use", use, "name"_a);
    m.def("lower_to_bound", lower_to_bound, "squared_norms"_a.noconvert(), "norm"_a, "widened"_a,
          "values"_a.noconvert());
    m.def("find", find, "values"_a.noconvert(), "first"_a, "second"_a, "group"_a,
          "starts"_a.noconvert(), "tickets"_a, "rows"_a.noconvert(), "weights"_a.noconvert());
    m.def("sum_weights", sum_weights, "values"_a.noconvert(), "first"_a, "second"_a, "group"_a,
          "totals"_a.noconvert());

    nb::class_<MatrixOf>(m, "Matrix")
        .def(nb::init<nb::handle, bool>(), "array"_a, "bfloat16"_a = false)
        .def(nb::init<nb::handle, nb::handle, nb::handle, int64_t>(), "data"_a, "indices"_a,
             "indptr"_a, "n_columns"_a);

    const auto kept = nb::rv_policy::reference_internal;
    nb::class_<Block>(m, "Block")
        .def_static("joined", joined, "blocks"_a)
        .def("take", take, "rows"_a.noconvert())
        .def("accept", accept, "rows"_a, "bars"_a, "d2"_a.noconvert(), "waiting"_a, "most"_a,
             "admit"_a.none())
        .def("lower", [](const Block& block, Vector<double> d2, Block& centres) {
            double* values = data_of(d2, static_cast<size_t>(block.centres().n), "d2");
            nb::gil_scoped_release released;
            lower(block, values, centres);
        }, "d2"_a.noconvert(), "centres"_a)
        .def("distances_within", [](const Block& block, Vector<const double> below,
                                    Square<double> out) {
            const auto n = static_cast<size_t>(block.centres().n);
            const double* limits = data_of(below, n, "below");
            require(out.shape(0) == n && out.shape(1) == n, "out must be square.");
            nb::gil_scoped_release released;
            distances_within(block, limits, out.data());
        }, "below"_a.noconvert(), "out"_a.noconvert())
        .def_prop_ro("labels", labels_of, kept)
        .def_prop_ro("squared_norms", squared_norms_of, kept)
        .def_prop_ro("residuals", residuals_of, kept)
        .def_prop_ro("features", features_of, kept)
        .def_prop_ro("columns", columns_of, kept)
        .def_prop_ro("starts", starts_of, kept)
        .def_prop_ro("n_features", [](const Block& block) { return block.centres().n_features; })
        .def("__len__", [](const Block& block) { return block.centres().n; });

    using Any = nb::ndarray<nb::device::cpu, nb::c_contig, nb::ndim<1>>;
    nb::class_<KnownOf>(m, "Known")
        .def(nb::init<Any, Any, Vector<double>, Square<double>, double>(), "labels"_a.noconvert(),
             "runners_up"_a.noconvert(), "squared_norms"_a.noconvert(), "scalars"_a.noconvert(),
             "bias"_a)
        .def("gather", &KnownOf::gather, "rows"_a, "proba"_a, "features"_a, "places"_a,
             "least_product"_a)
        .def("read", &KnownOf::read, "lo"_a, "hi"_a, "proba"_a, "features"_a, "first"_a,
             "direction"_a.noconvert(), "tolerance"_a)
        .def("lower", &KnownOf::lower, "lo"_a, "hi"_a, "proba"_a, "features"_a, "first"_a,
             "d2"_a.noconvert(), "fresh"_a, "centres"_a, "fall"_a.noconvert(),
             "counters"_a.noconvert())
        .def("changing", &KnownOf::changing, "cuts"_a.noconvert(), "d2"_a.noconvert(),
             "centres"_a, "out"_a.noconvert());
}

}  // namespace labelnext
