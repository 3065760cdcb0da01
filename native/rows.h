// Rows of matrices: read as they are stored, and their sums.
//
// Sums are made in eight lanes, always the same ones, and no product is fused with a sum (see
// CMakeLists.txt): so they are the same to the last bit with every set of instructions.
#pragma once

#include <cstring>

#include "bounds.h"

namespace labelnext {
namespace {

constexpr int LANES = 8;

#if defined(__GNUC__)
// What is so short that it must not become a call.
#define INLINED [[gnu::always_inline]] inline
#pragma GCC diagnostic ignored "-Wpsabi"
#else
#define INLINED inline
#endif

// The sum of term(0), …, term(n − 1).
template <class Term>
double sum(int64_t n, Term term) {
    double lanes[LANES] = {}, rest = 0.0;
    int64_t j = 0;
    if (n < LANES) {
        for (; j < n; ++j) rest += term(j);
        return 0.0 + rest;
    }
    for (; j + LANES <= n; j += LANES)
        for (int l = 0; l < LANES; ++l) lanes[l] += term(j + l);
    for (; j < n; ++j) rest += term(j);
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
           ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7])) + rest;
}

// As many numbers as there are lanes, in registers.
#if defined(__GNUC__)
using Lanes = double __attribute__((vector_size(LANES * sizeof(double))));
INLINED Lanes lanes_at(const double* at) {
    Lanes lanes;
    std::memcpy(&lanes, at, sizeof lanes);
    return lanes;
}
#else
struct Lanes {
    double at[LANES];
    Lanes& operator+=(const Lanes& other) {
        for (int l = 0; l < LANES; ++l) at[l] += other.at[l];
        return *this;
    }
};
inline Lanes lanes_at(const double* at) {
    Lanes lanes;
    std::memcpy(&lanes, at, sizeof lanes);
    return lanes;
}
inline Lanes operator*(double factor, Lanes lanes) {
    for (double& each : lanes.at) each *= factor;
    return lanes;
}
#endif

INLINED void store(const Lanes& lanes, double* out) { std::memcpy(out, &lanes, sizeof lanes); }

template <class Y>
double dot(const double* x, const Y* y, int64_t n) {
    return sum(n, [=](int64_t j) { return x[j] * static_cast<double>(y[j]); });
}

inline double dot(const double* x, const Kept& rows, int64_t row) {
    const int64_t n = rows.n_columns;
    return rows.narrow ? dot(x, rows.narrow + row * n, n) : dot(x, rows.wide + row * n, n);
}

inline double dot(const double* x, const KeptSparse& rows, int64_t row) {
    double total = 0.0;
    for (int64_t j = rows.starts[row]; j < rows.starts[row + 1]; ++j)
        total += rows.values[j] * x[rows.columns[j]];
    return total;
}

inline double entry(const Kept& rows, int64_t row, int64_t column) {
    const int64_t at = row * rows.n_columns + column;
    return rows.narrow ? static_cast<double>(rows.narrow[at]) : rows.wide[at];
}

// Numbers of any alignment, by their bits.
template <class Bits>
Bits read_bits(const char* at) {
    Bits bits;
    std::memcpy(&bits, at, sizeof bits);
    return bits;
}

inline float as_float(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// Shifted into a float32's places the exponent of a float16 is too small by 112, subnormals
// included. Infinity becomes NaN: neither may be in a pool.
struct F16 {
    using Bits = uint16_t;
    static float value(uint16_t bits) {
        const uint32_t magnitude = bits & 0x7FFFu, sign = (bits & 0x8000u) << 16;
        return magnitude < 0x7C00u ? as_float(sign | magnitude << 13) * 0x1p112f : NAN;
    }
};

struct BF16 {
    using Bits = uint16_t;
    static float value(uint16_t bits) { return as_float(static_cast<uint32_t>(bits) << 16); }
};

template <class T>
struct Plain {
    using Bits = T;
    static T value(T bits) { return bits; }
};

template <class Stored>
void load(const char* from, int64_t stride, int64_t n, double* out) {
    using Bits = typename Stored::Bits;
    if (stride == sizeof(Bits))  // said apart, this vectorises
        for (int64_t j = 0; j < n; ++j)
            out[j] = static_cast<double>(Stored::value(read_bits<Bits>(from + j * sizeof(Bits))));
    else
        for (int64_t j = 0; j < n; ++j)
            out[j] = static_cast<double>(Stored::value(read_bits<Bits>(from + j * stride)));
}

inline void load(Type type, const char* from, int64_t stride, int64_t n, double* out) {
    switch (type) {
        case Type::F16: return load<F16>(from, stride, n, out);
        case Type::BF16: return load<BF16>(from, stride, n, out);
        case Type::F32: return load<Plain<float>>(from, stride, n, out);
        case Type::F64: return load<Plain<double>>(from, stride, n, out);
        case Type::I8: return load<Plain<int8_t>>(from, stride, n, out);
        case Type::I16: return load<Plain<int16_t>>(from, stride, n, out);
        case Type::I32: return load<Plain<int32_t>>(from, stride, n, out);
        case Type::I64: return load<Plain<int64_t>>(from, stride, n, out);
        case Type::U8: return load<Plain<uint8_t>>(from, stride, n, out);
        case Type::U16: return load<Plain<uint16_t>>(from, stride, n, out);
        case Type::U32: return load<Plain<uint32_t>>(from, stride, n, out);
        case Type::U64: return load<Plain<uint64_t>>(from, stride, n, out);
    }
}

inline int64_t place(const char* places, bool is_wide, int64_t j) {
    return is_wide ? read_bits<int64_t>(places + 8 * j) : read_bits<int32_t>(places + 4 * j);
}

inline double value(const Matrix& m, int64_t j) {
    if (m.type == Type::F32) return read_bits<float>(m.data + 4 * j);
    if (m.type == Type::F64) return read_bits<double>(m.data + 8 * j);
    double out;
    load(m.type, m.data + j * m.column_stride, m.column_stride, 1, &out);
    return out;
}

inline void load_dense(const Matrix& m, int64_t row, double* out) {
    load(m.type, m.data + row * m.row_stride, m.column_stride, m.n_columns, out);
}

// Call `visit(column, value)` for each number of a row in CSR.
template <class Visit>
void for_each_stored(const Matrix& m, int64_t row, Visit visit) {
    const int64_t last = place(m.starts, m.wide_starts, row + 1);
    for (int64_t j = place(m.starts, m.wide_starts, row); j < last; ++j)
        visit(place(m.columns, m.wide_columns, j), value(m, j));
}

// A row as it is stored, if that is float64 as the processor wants it.
inline const double* in_place(const Matrix& m, int64_t row) {
    const char* at = m.data + row * m.row_stride;
    const bool fits = m.column_stride == sizeof(double) || m.n_columns == 1;
    const bool is_aligned = reinterpret_cast<uintptr_t>(at) % alignof(double) == 0;
    return m.type == Type::F64 && fits && is_aligned ? reinterpret_cast<const double*>(at)
                                                     : nullptr;
}

// A row of features in float64: in place, or in working memory, where it is made when it is needed
// first. A sparse one is added to memory that is 0 before and after.
class Staged {
  public:
    Staged(const Matrix& features, const Scratch& scratch) : m(features), memory(scratch.row) {}

    void set(int64_t row) {
        at = row;
        values = nullptr;
    }

    void clear() {
        if (values && m.is_sparse)
            for_each_stored(m, at, [this](int64_t j, double) { memory[j] = 0.0; });
    }

    const double* get() {
        if (values) return values;
        values = memory;
        if (m.is_sparse)
            for_each_stored(m, at, [this](int64_t j, double v) { memory[j] += v; });
        else if (const double* here = in_place(m, at))
            values = here;
        else
            load_dense(m, at, memory);
        return values;
    }

  private:
    const Matrix& m;
    double* memory;
    int64_t at = 0;
    const double* values = nullptr;
};

inline double dot(const double* h, const Centres& centres, int64_t c) {
    return centres.is_sparse ? dot(h, centres.sparse_features, c) : dot(h, centres.features, c);
}

// A centre's features in float64, in memory that is 0 before; and 0 again, if they are sparse.
inline void load_centre(const Centres& centres, int64_t c, double* out) {
    const int64_t n = centres.n_features;
    if (centres.is_sparse) {
        const KeptSparse& rows = centres.sparse_features;
        for (int64_t j = rows.starts[c]; j < rows.starts[c + 1]; ++j)
            out[rows.columns[j]] = rows.values[j];
    } else
        for (int64_t j = 0; j < n; ++j) out[j] = entry(centres.features, c, j);
}

inline void clear_centre(const Centres& centres, int64_t c, double* out) {
    if (!centres.is_sparse) return;
    const KeptSparse& rows = centres.sparse_features;
    for (int64_t j = rows.starts[c]; j < rows.starts[c + 1]; ++j) out[rows.columns[j]] = 0.0;
}

// d² as a sum of squares; see `_distances_from_differences` in engine/_factors.py.
struct Factors {
    const double *a, *h;
};

inline double ratio(double x, double y) {
    // Squares of factors below 1e-154 underflow: they count as 0.
    return y > 0.0 ? x / y : 0.0;
}

// ⟨x − y, z⟩
inline double difference_dot(const double* x, const double* y, const double* z, int64_t n) {
    return sum(n, [=](int64_t j) { return (x[j] - y[j]) * z[j]; });
}

// ‖(x − y) − s z‖²
inline double rest_squared(const double* x, const double* y, double s, const double* z,
                           int64_t n) {
    return sum(n, [=](int64_t j) {
        const double rest = (x[j] - y[j]) - s * z[j];
        return rest * rest;
    });
}

inline double from_differences(Factors x, Factors y, int64_t n_classes, int64_t n_features,
                               double bias) {
    double h2 = dot(x.h, x.h, n_features) + bias, a2 = dot(y.a, y.a, n_classes);
    const double other_h2 = dot(y.h, y.h, n_features) + bias, other_a2 = dot(x.a, x.a, n_classes);
    // In the order in which rounding is smaller.
    if (a2 * h2 > other_a2 * other_h2) {
        const Factors z = x;
        x = y, y = z, h2 = other_h2, a2 = other_a2;
    }
    const double s = ratio(difference_dot(x.a, y.a, y.a, n_classes), a2);
    const double t = ratio(difference_dot(x.h, y.h, x.h, n_features), h2);
    const double u2 = rest_squared(x.a, y.a, s, y.a, n_classes);
    const double v2 = rest_squared(x.h, y.h, t, x.h, n_features) + bias * t * t;
    return (s + t) * (s + t) * (a2 * h2) + u2 * h2 + a2 * v2;
}

}  // namespace
}  // namespace labelnext
