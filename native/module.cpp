// The extension as Python sees it: every size and dtype is checked here, and nothing further in.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numeric>
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

// Lower D² of rows lo to hi of a block to their distances to other blocks, as far as it is above
// `enough`, if that is not null.
void lower(const Block& block, int64_t lo, int64_t hi, double* d2, const double* enough,
           const std::vector<Block*>& others) {
    int64_t most = 0;
    for (const Block* each : others) {
        check_alike(block.rows(), each->centres());
        most = std::max(most, each->centres().n);
    }
    Memory memory(block.centres().n_classes, block.centres().n_features, most / WORD + 1);
    std::vector<double> fall(most);
    int64_t counters[N_COUNTERS] = {};
    for (Block* each : others) {
        Centres centres = each->with_tables(false);
        centres.least_product = std::min(centres.least_product, block.centres().least_product);
        kernels().lower(block.rows(), block.known(), lo, hi, d2, enough, false, centres,
                        fall.data(), counters, memory.scratch());
    }
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

// What of drawn rows is accepted; see `Factors.accept`.
struct Accepting {
    const std::vector<Block*>& waiting;
    int64_t most;
    nb::handle admit;
    std::vector<int64_t> accepted{};

    // Look at rows lo to hi of a block, `rows` of a pool; returns how many have been looked at.
    int64_t look(const Block& block, const int64_t* rows, const double* bars, double* d2,
                 int64_t lo, int64_t hi) {
        const Centres& c = block.centres();
        lower(block, lo, hi, d2, bars, waiting);
        Memory memory(0, c.n_features, 0);
        for (int64_t i = lo; i < hi; ++i) {
            for (const int64_t j : accepted)
                if (rows[j] == rows[i]) d2[i] = 0.0;
            d2[i] = kernels().lowered_within(c, i, accepted.data(),
                                             static_cast<int64_t>(accepted.size()), d2[i],
                                             bars[i], memory.scratch());
            if (!(bars[i] < d2[i]) || !is_admitted(rows[i])) continue;
            accepted.push_back(i);
            if (is_done()) return i + 1;
        }
        return hi;
    }

    bool is_done() const { return static_cast<int64_t>(accepted.size()) == most; }

    bool is_admitted(int64_t row) const {
        if (admit.is_none()) return true;
        nb::gil_scoped_acquire held;
        const int answer = PyObject_IsTrue(admit(row).ptr());
        if (answer < 0) throw nb::python_error();
        return answer > 0;
    }
};

std::pair<std::vector<int64_t>, int64_t> accept(
    const Block& block, Vector<const int64_t> drawn, Vector<const double> bars, Vector<double> d2,
    const std::vector<Block*>& waiting, int64_t most, nb::object admit) {
    const int64_t n = block.centres().n;
    const int64_t* rows = data_of(drawn, static_cast<size_t>(n), "rows");
    const double* bar = data_of(bars, static_cast<size_t>(n), "bars");
    double* now = data_of(d2, static_cast<size_t>(n), "d2");
    check_blocks(waiting);
    nb::gil_scoped_release released;
    Accepting accepting{waiting, most, admit};
    const int64_t n_seen = accepting.look(block, rows, bar, now, 0, n);
    return {accepting.accepted, n_seen};
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

    Part part(const MatrixOf& proba, const MatrixOf& features, const int64_t* rows,
              const int64_t* places, int64_t n) const {
        return {known, proba.m, features.m, fits_float32(proba.m.type), rows, places, n};
    }

    Block* gather(Vector<const int64_t> rows, const MatrixOf& proba, const MatrixOf& features,
                  Vector<const int64_t> places, double least_product) const {
        const auto n = static_cast<int64_t>(rows.size());
        const int64_t* at = data_of(places, rows.size(), "places");
        nb::gil_scoped_release released;
        return new Block({part(proba, features, rows.data(), at, n)}, least_product);
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

    // Rows lo to hi of the pool, in matrices that begin with row `first`.
    Stretch checked(const MatrixOf& proba, const MatrixOf& features, int64_t first, int64_t lo,
                    int64_t hi) const {
        require(proba.m.n_rows == features.m.n_rows, "Both factors must have as many rows.");
        require(0 <= first && first <= lo && lo <= hi && hi <= known.n_rows && hi - first <= proba.m.n_rows,
                "These rows are not all there.");
        return {proba.m, features.m, first};
    }

    Known known;

  private:
    static Labels as_labels(const nb::ndarray<nb::device::cpu, nb::c_contig, nb::ndim<1>>& values,
                            size_t n) {
        const bool is_wide = values.dtype() == nb::dtype<int32_t>();
        if (!is_wide && values.dtype() != nb::dtype<uint16_t>())
            throw nb::type_error("Labels must be uint16 or int32.");
        require(values.size() == n, "There must be as many labels as rows.");
        return {static_cast<char*>(values.data()), is_wide};
    }

    nb::ndarray<nb::device::cpu, nb::c_contig, nb::ndim<1>> labels, runners_up;
    Vector<double> squared_norms;
    Square<double> scalars;
};

void mean_direction(const MatrixOf& features, Vector<double> out) {
    const int64_t n = features.m.n_columns;
    double* direction = data_of(out, static_cast<size_t>(n), "out");
    nb::gil_scoped_release released;
    Memory memory(0, n, 0);
    kernels().mean_direction(features.m, direction, memory.scratch());
}

// ⌊total · r / 2⁶⁴⌋
int64_t ticket(uint64_t total, uint64_t r) {
    constexpr uint64_t LOW = UINT32_MAX;
    const uint64_t a = total >> 32, b = total & LOW, c = r >> 32, d = r & LOW;
    const uint64_t middle = b * c + (b * d >> 32), other = a * d + (middle & LOW);
    return static_cast<int64_t>(a * c + (middle >> 32) + (other >> 32));
}

// D² of each row of a pool, with the integer weights ⌈2ˢ D²⌉ that draws are made by.
class D2Of {
  public:
    D2Of(const KnownOf& of_, Vector<double> values_, Vector<bool> available_, int64_t group_)
        : of(of_), values(values_), available(available_), n(of.known.n_rows), group(group_) {
        data_of(values, static_cast<size_t>(n), "values");
        data_of(available, static_cast<size_t>(n), "available");
        require(n > 0 && group > 0, "There must be rows, and a group of them must have some.");
        starts.assign((n + group - 1) / group + 1, 0);
    }

    void bound(double norm, double widened) {
        nb::gil_scoped_release released;
        kernels().lower_to_bound(of.known.squared_norms, norm, widened, values.data(), n);
    }

    // Make those of some rows that are of this pool unavailable; returns how many were available.
    int64_t take(Vector<const int64_t> rows) {
        int64_t n_taken = 0;
        for (size_t i = 0; i < rows.size(); ++i) {
            const int64_t row = rows.data()[i];
            if (row < 0 || row >= n) continue;
            values.data()[row] = 0.0;
            n_taken += available.data()[row];
            available.data()[row] = false;
        }
        return n_taken;
    }

    // The first available row of the largest ‖G‖, or −1 if all are 0.
    int64_t largest_norm() const {
        nb::gil_scoped_release released;
        int64_t found = -1;
        double most = 0.0;
        for (int64_t i = 0; i < n; ++i)
            if (of.known.squared_norms[i] > most && available.data()[i]) {
                found = i;
                most = of.known.squared_norms[i];
            }
        return found;
    }

    double largest() const {
        nb::gil_scoped_release released;
        return kernels().largest(values.data(), n);
    }

    // Weigh all rows, and return the sum.
    int64_t weigh(int64_t exponent_) {
        nb::gil_scoped_release released;
        exponent = static_cast<int>(exponent_);
        // Two factors, for 2ˢ may be too large for one.
        const int half = exponent / 2;
        first = std::ldexp(1.0, half);
        second = std::ldexp(1.0, exponent - half);
        kernels().sum_weights(values.data(), n, first, second, group, starts.data() + 1);
        std::partial_sum(starts.begin(), starts.end(), starts.begin());
        return starts.back();
    }

    void find(Vector<const int64_t> tickets, Vector<int64_t> rows, Vector<int64_t> weights) const {
        const size_t n_tickets = tickets.size();
        int64_t* found = data_of(rows, n_tickets, "rows");
        int64_t* of_row = data_of(weights, n_tickets, "weights");
        nb::gil_scoped_release released;
        find(tickets.data(), static_cast<int64_t>(n_tickets), found, of_row);
    }

    // See `D2.draw` in engine/_base.py.
    std::tuple<Block*, std::vector<int64_t>, std::vector<double>, int64_t> draw(
        const MatrixOf& proba, const MatrixOf& features, double least_product,
        Vector<const uint64_t> bits, Vector<const double> lots,
        const std::vector<Block*>& waiting, int64_t most, nb::object admit) const {
        const auto n_drawn = static_cast<int64_t>(bits.size());
        const double* lot = data_of(lots, bits.size(), "lots");
        require(n_drawn > 0 && starts.back() > 0, "There must be something to draw.");
        check_blocks(waiting);
        nb::gil_scoped_release released;
        std::vector<int64_t> tickets(n_drawn), rows(n_drawn), weights(n_drawn);
        std::vector<double> bars(n_drawn), d2(n_drawn);
        std::optional<Block> drawn;
        Accepting accepting{waiting, most, admit};
        int64_t n_seen = 0;
        // No more are gathered at a time than may be looked at.
        for (int64_t lo = 0, hi; lo < n_drawn && !accepting.is_done(); lo = hi) {
            hi = std::min(n_drawn, lo + std::max({lo, 2 * most, int64_t{8}}));
            for (int64_t i = lo; i < hi; ++i)
                tickets[i] = ticket(static_cast<uint64_t>(starts.back()), bits.data()[i]);
            find(tickets.data() + lo, hi - lo, rows.data() + lo, weights.data() + lo);
            for (int64_t i = lo; i < hi; ++i) {
                // Accept with probability D²/(weight / 2ˢ).
                bars[i] = std::ldexp(lot[i] * static_cast<double>(weights[i]), -exponent);
                d2[i] = values.data()[rows[i]];
            }
            const int64_t* some = rows.data() + lo;
            const Part part = of.part(proba, features, some, some, hi - lo);
            if (drawn)
                drawn->grow(part);
            else
                drawn.emplace(std::vector<Part>{part}, least_product);
            n_seen = accepting.look(*drawn, rows.data(), bars.data(), d2.data(), lo, hi);
        }
        std::vector<int64_t> picked;
        std::vector<double> left;
        for (const int64_t i : accepting.accepted) {
            picked.push_back(rows[i]);
            left.push_back(d2[i]);
        }
        const auto n_accepted = static_cast<int64_t>(picked.size());
        return {new Block({drawn->part(accepting.accepted.data(), n_accepted)}, least_product),
                picked, left, n_seen};
    }

    void lower(int64_t lo, int64_t hi, const MatrixOf& proba, const MatrixOf& features,
               int64_t first_row, bool fresh, Block& block, Vector<double> fall) {
        const Stretch stretch = of.checked(proba, features, first_row, lo, hi);
        double* falls = data_of(fall, static_cast<size_t>(block.centres().n), "fall");
        nb::gil_scoped_release released;
        check_alike(stretch, block.centres());
        const Centres& centres = block.with_tables(fresh);
        Memory memory(centres.n_classes, centres.n_features, centres.n_words);
        int64_t counts[N_COUNTERS] = {};
        kernels().lower(stretch, of.known, lo, hi, values.data(), nullptr, fresh, centres, falls,
                        counts, memory.scratch());
        for (int i = 0; i < N_COUNTERS; ++i) counters[i] += counts[i];
    }

    // Make of what each centre has taken the potentials after each: from the end, where that of all
    // is left, so that nothing cancels. Values are added span by span.
    void potentials(Vector<double> fall, int64_t span) const {
        require(fall.size() > 0 && span > 0, "There must be centres, and rows of a span.");
        nb::gil_scoped_release released;
        double left = 0.0;
        for (int64_t lo = 0; lo < n; lo += span)
            left += kernels().total(values.data() + lo, std::min(span, n - lo));
        for (size_t c = fall.size(); c-- > 0;) {
            const double taken = fall.data()[c];
            fall.data()[c] = left;
            left += taken;
        }
    }

    // The counters since the last call.
    std::vector<int64_t> counted() {
        std::vector<int64_t> counts;
        for (std::atomic<int64_t>& counter : counters) counts.push_back(counter.exchange(0));
        return counts;
    }

    void changing(Vector<const int64_t> cuts, Block& block, Vector<bool> out) const {
        require(block.centres().n > 0, "There must be centres.");
        const int64_t n_groups = static_cast<int64_t>(out.size());
        const int64_t* ends = data_of(cuts, out.size() + 1, "cuts");
        require(0 <= ends[0] && ends[n_groups] <= n, "cuts go beyond the rows.");
        nb::gil_scoped_release released;
        kernels().changing(of.known, ends, n_groups, values.data(), block.with_tables(false),
                           out.data());
    }

  private:
    void find(const int64_t* tickets, int64_t n_tickets, int64_t* rows, int64_t* weights) const {
        kernels().find(values.data(), n, first, second, group, starts.data(), tickets, n_tickets,
                       rows, weights);
    }

    const KnownOf of;
    Vector<double> values;
    Vector<bool> available;
    int64_t n, group;
    int exponent = 0;
    double first = 1.0, second = 1.0;
    // Where the weights of each group of rows start when all are cumulated, and where they end.
    std::vector<int64_t> starts;
    std::atomic<int64_t> counters[N_COUNTERS] = {};
};

}  // namespace

// Arrays are written to, so none is converted.
NB_MODULE(_kernels, m) {
    // What lives until the interpreter ends, in an interrupted program, is no news for its user.
    nb::set_leak_warnings(false);
    m.attr("N_SCALARS") = N_SCALARS;
    m.attr("COUNTERS") = nb::make_tuple(COUNTERS[0], COUNTERS[1], COUNTERS[2], COUNTERS[3]);
    m.def("instructions", instructions);
    m.def("use", use, "name"_a);
    m.def("mean_direction", mean_direction, "features"_a, "out"_a.noconvert());
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
            const int64_t n = block.centres().n;
            double* values = data_of(d2, static_cast<size_t>(n), "d2");
            nb::gil_scoped_release released;
            lower(block, 0, n, values, nullptr, {&centres});
        }, "d2"_a.noconvert(), "centres"_a)
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
             "direction"_a.noconvert(), "tolerance"_a);

    nb::class_<D2Of>(m, "D2")
        .def(nb::init<const KnownOf&, Vector<double>, Vector<bool>, int64_t>(), "known"_a,
             "values"_a.noconvert(), "available"_a.noconvert(), "group"_a)
        .def("take", &D2Of::take, "rows"_a)
        .def("largest_norm", &D2Of::largest_norm)
        .def("bound", &D2Of::bound, "norm"_a, "widened"_a)
        .def("largest", &D2Of::largest)
        .def("weigh", &D2Of::weigh, "exponent"_a)
        .def("find", nb::overload_cast<Vector<const int64_t>, Vector<int64_t>, Vector<int64_t>>(
                         &D2Of::find, nb::const_),
             "tickets"_a, "rows"_a.noconvert(), "weights"_a.noconvert())
        .def("draw", &D2Of::draw, "proba"_a, "features"_a, "least_product"_a, "bits"_a.noconvert(),
             "lots"_a.noconvert(), "waiting"_a, "most"_a, "admit"_a.none())
        .def("lower", &D2Of::lower, "lo"_a, "hi"_a, "proba"_a, "features"_a, "first"_a, "fresh"_a,
             "centres"_a, "fall"_a.noconvert())
        .def("potentials", &D2Of::potentials, "fall"_a.noconvert(), "span"_a)
        .def("counted", &D2Of::counted)
        .def("changing", &D2Of::changing, "cuts"_a.noconvert(), "centres"_a, "out"_a.noconvert());
}

}  // namespace labelnext
