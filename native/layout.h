// What the passes read and write, in the one layout that Python and C++ share.
//
// Plain structs of pointers: this header is also read by code that is compiled for instructions
// which not every processor has, and inline functions of the standard library, compiled so, must
// not be what the linker chooses for the rest.
#pragma once

#include <cstddef>
#include <cstdint>

namespace labelnext {

// Centres that are tested at a time: the bits of a word.
constexpr int WORD = 64;
// Of a block that nothing is known of yet so many centres are looked at before others.
constexpr int64_t FEW = 8;
// From so many classes on, ⟨a_i, a_c⟩ is not computed for a word of centres at once.
constexpr int64_t MANY_CLASSES = 128;

// Below this share of ‖G_i‖² + ‖G_c‖² a d² has cancelled, as for the plain pass.
constexpr double CANCELLED = 1e-6;
// The largest ‖h‖², as for the plain pass, which has the last word on a row. This reading adds up
// in another order, so it refuses a little later: what it refuses the other is sure to refuse.
constexpr double TOO_LARGE = 1e280;
constexpr double LENIENT = 1.0 + 1e-9;

// What the bounds know of a row; a row of a float64 array of shape (n, 5) in Python.
//
// The bounds take q ≥ 0. But rows may sum to a little more than 1, and p[ŷ] may be above 1. Then
// all entries of the residual a are positive, and bounds treat it as one without a pseudo-label:
// q is 0, t = ‖a‖, w = ‖a without its second entry‖, and its label is nobody's. So ⟨a_i, a_c⟩ is
// still at most t_i t_c, and at least −(q_i t_c + q_c t_i). Here q keeps its sign.
struct Scalars {
    double q;  // 1 − p[ŷ]
    double t;  // ‖p without its pseudo-label's entry‖
    double h;  // ‖h‖, the bias's 1 counted in
    double x;  // ⟨h, u⟩ for one unit vector u
    double w;  // ‖p without its two largest entries‖
};
constexpr int N_SCALARS = 5;
static_assert(sizeof(Scalars) == N_SCALARS * sizeof(double), "a row of the array");

// Counters of a pass, in an int64 array in Python.
enum Counter { TESTED, RESIDUAL_PRODUCTS, FEATURE_PRODUCTS, DIFFERENCES, N_COUNTERS };
constexpr const char* COUNTERS[] = {
    "pairs_tested", "residual_products", "feature_products", "differences"};

// Numbers as they are stored.
enum class Type : uint8_t { F16, BF16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64 };

// A matrix of the caller's: dense with any strides, aligned or not, or CSR.
struct Matrix {
    const char* data;
    Type type;
    int64_t n_rows, n_columns;
    int64_t row_stride, column_stride;  // in bytes; of CSR that of its numbers
    // If CSR: int32 or int64. A column may be stored twice, and counts as the sum.
    bool is_sparse, wide_columns, wide_starts;
    const char *columns, *starts;
};

// Pseudo-labels: two bytes do for most pools.
struct Labels {
    char* data;
    bool is_wide;  // int32, else uint16

    int64_t operator[](int64_t i) const {
        return is_wide ? reinterpret_cast<const int32_t*>(data)[i]
                       : reinterpret_cast<const uint16_t*>(data)[i];
    }
    void set(int64_t i, int64_t label) const {
        if (is_wide)
            reinterpret_cast<int32_t*>(data)[i] = static_cast<int32_t>(label);
        else
            reinterpret_cast<uint16_t*>(data)[i] = static_cast<uint16_t>(label);
    }
};

// A label that no row and no centre has.
constexpr int64_t NOBODY = INT64_MIN;

// What is in memory of each row of a pool.
struct Known {
    int64_t n_rows;
    Labels labels, runners_up;
    double* squared_norms;
    Scalars* scalars;
    double bias;
};

// Factors of consecutive rows, the first of which is row `first` of the pool.
struct Stretch {
    Matrix proba, features;
    int64_t first;
};

// The scalars of 64 centres, those of a kind beside each other. Where a block ends within a word
// ‖G‖² is infinite.
struct Word {
    int64_t labels[WORD];
    double squared_norms[WORD], q[WORD], t[WORD], x[WORD], perp[WORD];
};

// The scalars of a block of centres in some order.
struct Table {
    const int64_t* centres;
    const double* norms;
    const Word* words;
};

// A matrix of our own, in C order: float32 where that holds what the pool has, so that more of it
// stays in cache; float64 else.
struct Kept {
    const float* narrow;
    const double* wide;
    int64_t n_columns;
};

// Rows of our own in CSR, no column twice.
struct KeptSparse {
    const double* values;
    const int64_t *columns, *starts;
};

// The scalars of a centre, as bounds take them: q ≥ 0, and a label that may be nobody's.
struct Centre {
    int64_t label;
    double squared_norm, q, t, x, perp;
};

// A block of centres: their factors, and their scalars in three orders.
struct Centres {
    int64_t n, n_words, n_classes, n_features;
    const Centre* centres;
    // The pseudo-labels, whose entries `rest` is without; that of nobody's label stays there, and
    // is then taken 0 times from a product.
    const int64_t* entries;
    const double* residuals;  // (n, n_classes)
    const double* columns;    // (n_words, n_classes, 64), the same; null if there are many classes
    Kept rest;                // (n, n_classes)
    bool is_sparse;
    Kept features;  // (n, n_features), or
    KeptSparse sparse_features;
    Table picked, by_class, by_norm;
    const int64_t* starts;  // where in `by_class` the classes start
    // The largest t/‖a‖ and (t + q)/‖a‖ of all; see `reach`.
    double most_t, most_both;
    // The least that ⟨h_i, h_c⟩ can be for any row: the bias where no feature is negative, else −∞.
    double bias, least_product;
};

// Working memory of one call.
struct Scratch {
    double* a;             // n_classes
    double *row, *other;   // n_features, 0 where rows are sparse
    double* products;      // a word
    uint64_t* marks;       // n_words, 0
};

struct Read {
    int64_t bad;  // the first row that is not as it should be, or −1
    bool has_negative;
};

// The inner loops, compiled once for each set of instructions.
struct Kernels {
    const char* instructions;

    // Write the unit vector along the mean of some rows, or another if there is none.
    void (*mean_direction)(const Matrix& features, double* out, const Scratch&);
    // Check rows lo to hi and write what the bounds need of them.
    Read (*read)(const Stretch&, const Known&, int64_t lo, int64_t hi, const double* direction,
                 double tolerance, const Scratch&);
    // Lower D² of rows lo to hi to their distances to a block of centres, in the order of picks.
    // `fall[c]` is increased by what centre c takes from the potential. Rows of `proba` may be
    // residuals as well: the pseudo-label's entry is not read. Rows at `enough` are left, if it is
    // not null; else those at 0.
    void (*lower)(const Stretch&, const Known&, int64_t lo, int64_t hi, double* d2,
                  const double* enough, bool fresh, const Centres&, double* fall,
                  int64_t* counters, const Scratch&);
    // Mark the groups of rows between cuts that a block of centres may change at all.
    void (*changing)(const Known&, const int64_t* cuts, int64_t n_groups, const double* d2,
                     const Centres&, bool* changing);
    // D² of row i of a block, lowered from d to its distances to other rows of it, until it is at
    // `enough`.
    double (*lowered_within)(const Centres&, int64_t i, const int64_t* others, int64_t n_others,
                             double d, double enough, const Scratch&);
    // Lower each D² that is not 0 to (‖G_i‖ + norm)², a little widened.
    void (*lower_to_bound)(const double* squared_norms, double norm, double widened,
                           double* values, int64_t n);
    double (*largest)(const double* values, int64_t n);
    double (*total)(const double* values, int64_t n);
    // Sum the integer weights ⌈2ˢ D²⌉ of each group of rows, 2ˢ being first × second.
    void (*sum_weights)(const double* values, int64_t n, double first, double second,
                        int64_t group, int64_t* totals);
    // Find the rows whose stretches of the cumulated weights hold tickets, and their weights.
    // `starts[g]` is where group g starts, and the last of them where all end.
    void (*find)(const double* values, int64_t n, double first, double second, int64_t group,
                 const int64_t* starts, const int64_t* tickets, int64_t n_tickets, int64_t* rows,
                 int64_t* weights);
};

}  // namespace labelnext
