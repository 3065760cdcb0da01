// The bounds of the pass, each said once: lower bounds on
//
//     d²(i, c) = ‖G_i‖² + ‖G_c‖² − 2 ⟨a_i, a_c⟩ ⟨h_i, h_c⟩
//
// of a row i and a centre c by a few numbers of each; see `Scalars`. c is written before what is
// the centre's.
#pragma once

#include <cmath>

#include "layout.h"

namespace labelnext {
namespace {

inline double max(double x, double y) { return x < y ? y : x; }
inline double min(double x, double y) { return y < x ? y : x; }

// Rounding of a bound, as a share of ‖G_i‖² + ‖G_c‖²: far above that of float64 sums of some
// thousand terms, far below what a bound is for.
constexpr double SAFE = 1.0 - 1e-11;
constexpr double WIDE = 2.0 - SAFE;

// What is known of a row, as bounds take it: q ≥ 0, and a label that may be nobody's.
struct Row {
    int64_t label;
    double squared_norm, q, t, x, perp;
    // The second class, its entry, and what is left of t without it.
    int64_t runner_up;
    double second, w;
};

// What a product can be at most and at least.
struct Ends {
    double most, least;
};

// √(hypotenuse² − other²), never below the truth: it cancels where the two are alike.
inline double leg(double hypotenuse, double other) {
    const double square = hypotenuse * hypotenuse;
    return std::sqrt(max(square - other * other, 0.0) + 1e-13 * square);
}

// With one pseudo-label   ⟨a_i, a_c⟩ = q_i q_c + ⟨t_i, t_c⟩,
// with two                ⟨a_i, a_c⟩ = ⟨t_i, t_c⟩ − q_i t_c[ŷ_i] − q_c t_i[ŷ_c],
// where 0 ≤ ⟨t_i, t_c⟩ ≤ overlap, and an entry of t is at most ‖t‖.
inline Ends ends_of_a(bool same_label, double q, double t, double cq, double ct, double overlap) {
    const double both = q * cq;
    return {same_label ? both + overlap : overlap, same_label ? both : -(q * ct + cq * t)};
}

// ⟨t_i, t_c⟩ ≤ ‖t_i‖ ‖t_c‖, and with the second class's entry taken out of both
//            ≤ t_i[y₂] t_c[y₂] + ‖t_i without y₂‖ ‖t_c without y₂‖.
inline double overlap(double t, double ct) { return t * ct; }
inline double overlap(const Row& row, double ct, double entry) {
    return min(overlap(row.t, ct), row.second * entry + row.w * leg(ct, entry));
}

// ⟨h_i, h_c⟩ = bias + x_i x_c + ⟨h_i⊥, h_c⊥⟩, and |⟨h_i⊥, h_c⊥⟩| ≤ ‖h_i⊥‖ ‖h_c⊥‖.
// Where no feature is negative it is at least the bias, which is then `least_product`.
inline Ends ends_of_h(double x, double perp, double cx, double cperp, double bias,
                      double least_product) {
    const double along = bias + x * cx, across = perp * cperp;
    return {along + across, max(along - across, least_product)};
}

// d² ≥ ‖G_i‖² + ‖G_c‖² − 2 max ⟨a_i, a_c⟩ ⟨h_i, h_c⟩, which is in a corner of the two ranges.
// Three are enough: the most of a is not negative, that of h not below its least.
inline double least_d2(double total, Ends a, Ends h) {
    return total * SAFE - 2.0 * max(max(a.most * h.most, a.least * h.most), a.least * h.least);
}

// The same where one of the products is known.
inline double least_d2(double total, double product, Ends other) {
    return total * SAFE - 2.0 * max(product * other.most, product * other.least);
}

// For all centres c of other classes ⟨G_i, G_c⟩ ≤ reach ‖G_c‖. With β = t h and γ = q h, so that
// ‖G‖² = β² + γ²: ⟨a_i, a_c⟩ is between −(q_i t_c + q_c t_i) and t_i t_c, so
//
//     ⟨G_i, G_c⟩ ≤ β_i β_c                          if no ⟨h_i, h_c⟩ is negative,
//     ⟨G_i, G_c⟩ ≤ β_i (β_c + γ_c) + γ_i β_c        else.
//
// Divided by ‖G_c‖, the largest over the block.
inline double reach(const Row& row, double h, const Centres& centres) {
    return centres.least_product >= 0.0
               ? h * (row.t * centres.most_t)
               : h * (row.t * centres.most_both + row.q * centres.most_t);
}

// A centre of another class is nearer than d only if ‖G_c‖² − 2 ⟨G_i, G_c⟩ < gap = d − ‖G_i‖²:
// only if
//
//     ‖G_c‖ (‖G_c‖ − 2 reach) < gap, that is ‖G_c‖ < reach + √(reach² + gap).
//
// None is, if the least of the left side is not. Returns the largest norm that a centre may have,
// or −1.
inline double longest_of_others(const Row& row, double h, double d, const Centres& centres) {
    const double n2 = row.squared_norm, shortest = centres.by_norm.norms[0];
    const double most = reach(row, h, centres);
    // Rounding is paid for on the safe side.
    const double gap = (d - n2) + (d + n2) * (1.0 - SAFE);
    const double least = most < shortest ? shortest * (shortest - 2.0 * most) : -most * most;
    return least < gap ? most + std::sqrt(max(most * most + gap, 0.0)) * WIDE : -1.0;
}

// Of its own class only centres with |‖G_i‖ − ‖G_c‖| < D are nearer than D², whatever the angle.
inline Ends norms_of_own(const Row& row, double d) {
    const double radius = std::sqrt(d) * WIDE, norm = std::sqrt(row.squared_norm);
    return {norm * WIDE + radius, norm * SAFE - radius};
}

}  // namespace
}  // namespace labelnext
