// The inner loops of the pruned pass. Compiled once for each set of instructions, which names them.
#include "rows.h"

namespace labelnext {
namespace {

constexpr uint64_t ALL = ~uint64_t{0};
// Of a block that nothing is known of yet one centre is looked at first, then seven: they sift
// the rest.
constexpr uint64_t FIRST = 1, NEXT = 0xFE, REST = ~uint64_t{0xFF};

inline int count_bits(uint64_t word) {
#if defined(__GNUC__)
    return __builtin_popcountll(word);
#else
    int n = 0;
    for (; word; word &= word - 1) ++n;
    return n;
#endif
}

// The place of the lowest bit of a word that is not 0.
inline int lowest_bit(uint64_t word) {
#if defined(__GNUC__)
    return __builtin_ctzll(word);
#else
    return count_bits((word & (0 - word)) - 1);
#endif
}

// How many of some ascending values are at most `most`.
template <class T>
inline int64_t n_up_to(const T* ascending, int64_t n, T most) {
    int64_t lo = 0, hi = n;
    while (lo < hi) {
        const int64_t middle = lo + (hi - lo) / 2;
        if (ascending[middle] <= most)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

// Which of 64 values are below d, by one bit each.
inline uint64_t below(const double* values, double d) {
    uint64_t word = 0;
    for (uint64_t c = 0; c < WORD; ++c) word |= static_cast<uint64_t>(values[c] < d) << c;
    return word;
}

inline double perp_of(const Scalars& s, double bias) {
    return leg(std::sqrt(max(s.h * s.h - bias, 0.0)), s.x);
}

// A row as bounds take it, as far as norms decide.
inline Row row_of(const Known& known, int64_t i) {
    const Scalars& s = known.scalars[i];
    Row row{};
    row.label = s.q >= 0.0 ? known.labels[i] : NOBODY;
    row.squared_norm = known.squared_norms[i];
    row.q = max(s.q, 0.0);
    row.t = s.t;
    row.x = s.x;
    row.w = s.w;
    return row;
}

// What takes square roots.
inline void complete(Row& row, const Known& known, int64_t i) {
    row.perp = perp_of(known.scalars[i], known.bias);
    row.runner_up = known.runners_up[i];
    row.second = leg(row.t, row.w);
}

// Which centres may be nearer to a row than d by their norms: places lo to hi of the table by
// class, those of its own class, and places 0 to n_short of the table by norm, the others.
struct Ranges {
    int64_t lo, hi, n_short;
    int64_t n() const { return n_short + (hi - lo); }
};

inline Ranges ranges(const Row& row, double h, double d, const Centres& centres) {
    Ranges found{0, 0, 0};
    found.n_short =
        n_up_to(centres.by_norm.norms, centres.n, longest_of_others(row, h, d, centres));
    if (row.label == NOBODY) return found;
    const int64_t first = centres.starts[row.label];
    const int64_t n = centres.starts[row.label + 1] - first;
    const Ends own = norms_of_own(row, d);
    const double* norms = centres.by_class.norms + first;
    found.lo = first + n_up_to(norms, n, own.least);
    found.hi = first + n_up_to(norms, n, own.most);
    // Where no norm is within, the ends may be the wrong way round.
    if (found.hi < found.lo) found.hi = found.lo;
    return found;
}

// Which of 64 centres may be nearer to a row than d by their scalars, by one bit each.
inline uint64_t near_by_scalars(const Row& row, double d, const Centres& centres,
                                const Word& word) {
    double bounds[WORD];
    // A fixed length and no branch: this vectorises.
    for (int c = 0; c < WORD; ++c) {
        const Ends a = ends_of_a(word.labels[c] == row.label, row.q, row.t, word.q[c], word.t[c],
                                 overlap(row.t, word.t[c]));
        const Ends h = ends_of_h(row.x, row.perp, word.x[c], word.perp[c], centres.bias,
                                 centres.least_product);
        bounds[c] = least_d2(row.squared_norm + word.squared_norms[c], a, h);
    }
    return below(bounds, d);
}

// The ends of both products of a row and a centre by their scalars.
inline Ends ends_of_a(const Row& row, const Centres& centres, int64_t c) {
    const Centre& centre = centres.centres[c];
    const double both = overlap(row, centre.t, entry(centres.rest, c, row.runner_up));
    return ends_of_a(centre.label == row.label, row.q, row.t, centre.q, centre.t, both);
}
inline Ends ends_of_h(const Row& row, const Centres& centres, int64_t c) {
    const Centre& centre = centres.centres[c];
    return ends_of_h(row.x, row.perp, centre.x, centre.perp, centres.bias, centres.least_product);
}

// Call `visit(c)` for the centres in places lo to hi of a table that may be nearer than d by
// their scalars, until it says that this is enough.
template <class Visit>
bool for_each_near(const Row& row, double d, const Centres& centres, const Table& table,
                   int64_t lo, int64_t hi, Visit visit) {
    for (int64_t w = lo / WORD; w * WORD < hi; ++w) {
        uint64_t word = near_by_scalars(row, d, centres, table.words[w]);
        for (; word; word &= word - 1) {
            const int64_t s = w * WORD + lowest_bit(word);
            if (lo <= s && s < hi && visit(table.centres[s])) return true;
        }
    }
    return false;
}

template <class Visit>
bool for_each_near(const Row& row, double d, const Centres& centres, const Ranges& r,
                   Visit visit) {
    return for_each_near(row, d, centres, centres.by_class, r.lo, r.hi, visit) ||
           for_each_near(row, d, centres, centres.by_norm, 0, r.n_short, visit);
}

// A pass over some rows with a block of centres. A pair is left as soon as a lower bound on its d²
// reaches the row's D².
class Pass {
  public:
    Pass(const Stretch& rows, const Known& known_, const Centres& centres_, double* fall_,
         int64_t* counters_, const Scratch& scratch_)
        : stretch(rows),
          known(known_),
          centres(centres_),
          fall(fall_),
          counters(counters_),
          scratch(scratch_),
          features(rows.features, scratch_) {}

    // D² of a row whose D² is d, or ∞ where that is not known yet. At `enough` it is left: there it
    // does not matter how far below D² is.
    double lowered(int64_t i, double d2, double enough_) {
        at = i;
        d = d2;
        enough = enough_;
        has_a = is_dense = false;
        features.set(i - stretch.first);
        row = row_of(known, i);
        const bool fresh = d == INFINITY;
        if (fresh) {
            complete(row, known, i);
            counters[TESTED] += 1;
            look_at(0, FIRST, nullptr);
            if (d > enough) test(0, NEXT);
        }
        if (d > enough && !(fresh && centres.n <= FEW)) look_at_rest(fresh);
        features.clear();
        return d;
    }

  private:
    void look_at_rest(bool fresh) {
        const Ranges found = ranges(row, known.scalars[at].h, d, centres);
        if (found.n() == 0) return;
        if (!fresh) complete(row, known, at);
        if (4 * found.n() >= centres.n_words * WORD) {
            for (int64_t w = 0; w < centres.n_words && d > enough; ++w)
                test(w, fresh && w == 0 ? REST : ALL);
            return;
        }
        // Few: they are put into the order of picks first.
        const int64_t done = fresh ? FEW : 0;
        counters[TESTED] += found.n();
        for_each_near(row, d, centres, found, [&](int64_t c) {
            if (c >= done) scratch.marks[c / WORD] |= uint64_t{1} << c % WORD;
            return false;
        });
        for (int64_t w = 0; w < centres.n_words; ++w) {
            const uint64_t word = scratch.marks[w];
            scratch.marks[w] = 0;
            if (d > enough) look_at(w, word, nullptr);
        }
    }

    // Test the centres of a word that `bits` names, and look at those that may be nearer than d.
    void test(int64_t w, uint64_t bits) {
        const int64_t n_left = centres.n - w * WORD;
        const uint64_t there = n_left < WORD ? bits & ~(ALL << n_left) : bits;
        const int n_tested = count_bits(there);
        counters[TESTED] += n_tested;
        // A few are tested one by one sooner than a word of 64. Where more than half of a word was
        // left, scalars would leave most of the next, too.
        const uint64_t word =
            centres.n <= FEW || is_dense
                ? there
                : near_by_scalars(row, d, centres, centres.picked.words[w]) & bits;
        const int64_t many = centres.n_classes > 32 ? centres.n_classes : 32;
        if (centres.columns && 4 * count_bits(word) > many) {
            is_dense |= 2 * count_bits(word) > n_tested;
            counters[RESIDUAL_PRODUCTS] += n_tested;
            look_at(w, near_by_residuals(w) & bits, scratch.products);
        } else
            look_at(w, word, nullptr);
    }

    // Which centres of a word may be nearer than d by ⟨a_i, a_c⟩ of all of them, which become
    // `products`.
    uint64_t near_by_residuals(int64_t w) {
        const double* a = residual();
        const double* columns = centres.columns + w * centres.n_classes * WORD;
        const Word& word = centres.picked.words[w];
        double bounds[WORD];
        double* products = scratch.products;
        for (int part = 0; part < WORD; part += 4 * LANES) {
            Lanes s0{}, s1{}, s2{}, s3{};
            const double* at = columns + part;
            for (int64_t j = 0; j < centres.n_classes; ++j, at += WORD) {
                const double factor = a[j];
                s0 += factor * lanes_at(at);
                s1 += factor * lanes_at(at + LANES);
                s2 += factor * lanes_at(at + 2 * LANES);
                s3 += factor * lanes_at(at + 3 * LANES);
            }
            store(s0, products + part);
            store(s1, products + part + LANES);
            store(s2, products + part + 2 * LANES);
            store(s3, products + part + 3 * LANES);
        }
        for (int c = 0; c < WORD; ++c) {
            const Ends h = ends_of_h(row.x, row.perp, word.x[c], word.perp[c], centres.bias,
                                     centres.least_product);
            bounds[c] = least_d2(row.squared_norm + word.squared_norms[c], products[c], h);
        }
        return below(bounds, d);
    }

    // Look at the centres of a word that are named, whose ⟨a_i, a_c⟩ may be known.
    void look_at(int64_t w, uint64_t word, const double* products) {
        for (; word && d > enough; word &= word - 1) {
            const int s = lowest_bit(word);
            const int64_t c = w * WORD + s;
            const double d2 = products ? distance(c, products[s]) : distance(c);
            if (d2 < d) {
                if (d < INFINITY) fall[c] += d - d2;
                d = d2;
            }
        }
    }

    // d² of the row and a centre, or ∞ where it is not below d.
    double distance(int64_t c) {
        const double total = row.squared_norm + centres.centres[c].squared_norm;
        if (d == INFINITY) return evaluated(c, total, residual_product(c), feature_product(c));
        const Ends a = ends_of_a(row, centres, c), h = ends_of_h(row, centres, c);
        if (least_d2(total, a, h) >= d) return INFINITY;
        if (centres.n_classes < MANY_CLASSES || centres.centres[c].label != row.label) {
            const double alpha = residual_product(c);
            return least_d2(total, alpha, h) >= d ? INFINITY
                                                  : evaluated(c, total, alpha, feature_product(c));
        }
        // Here ⟨a_i, a_c⟩ is known well enough, and longer than ⟨h_i, h_c⟩.
        const double eta = feature_product(c);
        if (least_d2(total, eta, a) >= d) return INFINITY;
        return evaluated(c, total, residual_product(c), eta);
    }

    // The same where ⟨a_i, a_c⟩ is known, and tested.
    double distance(int64_t c, double alpha) {
        const double total = row.squared_norm + centres.centres[c].squared_norm;
        if (least_d2(total, alpha, ends_of_h(row, centres, c)) >= d) return INFINITY;
        return evaluated(c, total, alpha, feature_product(c));
    }

    double evaluated(int64_t c, double total, double alpha, double eta) {
        const double d2 = total - 2.0 * alpha * eta;
        if (d2 >= CANCELLED * total) return d2;
        counters[DIFFERENCES] += 1;
        const int64_t n_classes = centres.n_classes, n_features = centres.n_features;
        load_centre(centres, c, scratch.other);
        const Factors own{residual(), features.get()};
        const Factors other{centres.residuals + c * n_classes, scratch.other};
        const double exact =
            from_differences(own, other, n_classes, n_features, centres.bias);
        clear_centre(centres, c, scratch.other);
        return exact;
    }

    double residual_product(int64_t c) {
        counters[RESIDUAL_PRODUCTS] += 1;
        const double* a = residual();
        return dot(a, centres.rest, c) - centres.centres[c].q * a[centres.entries[c]];
    }

    double feature_product(int64_t c) {
        counters[FEATURE_PRODUCTS] += 1;
        return centres.bias + dot(features.get(), centres, c);
    }

    const double* residual() {
        if (!has_a) {
            load_dense(stretch.proba, at - stretch.first, scratch.a);
            scratch.a[known.labels[at]] = -known.scalars[at].q;
            has_a = true;
        }
        return scratch.a;
    }

    const Stretch& stretch;
    const Known& known;
    const Centres& centres;
    double* fall;
    int64_t* counters;
    const Scratch& scratch;
    Staged features;
    int64_t at = 0;
    double d = 0.0, enough = 0.0;
    Row row{};
    bool has_a = false, is_dense = false;
};

void lower(const Stretch& stretch, const Known& known, int64_t lo, int64_t hi, double* d2,
           const double* enough, bool fresh, const Centres& centres, double* fall,
           int64_t* counters, const Scratch& scratch) {
    Pass pass(stretch, known, centres, fall, counters, scratch);
    for (int64_t i = lo; i < hi; ++i) {
        const double least = enough ? enough[i] : 0.0;
        if (d2[i] > least) d2[i] = pass.lowered(i, fresh ? INFINITY : d2[i], least);
    }
}

// By scalars alone, as `lower` does before it looks at factors: what it is not asked to look at it
// would have left as it is.
bool may_change(const Known& known, int64_t i, double d, const Centres& centres) {
    Row row = row_of(known, i);
    const Ranges found = ranges(row, known.scalars[i].h, d, centres);
    if (found.n() == 0) return false;
    complete(row, known, i);
    return for_each_near(row, d, centres, found, [&](int64_t c) {
        const double total = row.squared_norm + centres.centres[c].squared_norm;
        return least_d2(total, ends_of_a(row, centres, c), ends_of_h(row, centres, c)) < d;
    });
}

void changing(const Known& known, const int64_t* cuts, int64_t n_groups, const double* d2,
              const Centres& centres, bool* changing) {
    for (int64_t g = 0; g < n_groups; ++g) {
        changing[g] = false;
        for (int64_t i = cuts[g]; i < cuts[g + 1] && !changing[g]; ++i)
            changing[g] = d2[i] != 0.0 && may_change(known, i, d2[i], centres);
    }
}

// Four vectors of lanes: one would wait for the comparison before.
constexpr int MANY = 4 * LANES;

// The unit vector along the mean of some rows; where that is none, one of equal entries.
void mean_direction(const Matrix& rows, double* out, const Scratch& scratch) {
    const int64_t n = rows.n_columns;
    const double each = n > 0 ? 1.0 / std::sqrt(static_cast<double>(n)) : 1.0;
    for (int64_t j = 0; j < n; ++j) out[j] = 0.0;
    for (int64_t i = 0; i < rows.n_rows; ++i) {
        if (rows.is_sparse) {
            for_each_stored(rows, i, [=](int64_t j, double value) { out[j] += value; });
            continue;
        }
        load_dense(rows, i, scratch.row);
        for (int64_t j = 0; j < n; ++j) out[j] += scratch.row[j];
    }
    const double norm = std::sqrt(dot(out, out, n));
    const bool is_usable = 0.0 < norm && norm < INFINITY;
    for (int64_t j = 0; j < n; ++j) out[j] = is_usable ? out[j] / norm : each;
}

// The largest of some numbers of which none is NaN.
double largest_of(const double* p, int64_t n) {
    double lanes[MANY], largest = p[0];
    int64_t j = 0;
    if (n >= MANY) {
        for (double& lane : lanes) lane = p[0];
        for (; j + MANY <= n; j += MANY)
            for (int l = 0; l < MANY; ++l) lanes[l] = lanes[l] < p[j + l] ? p[j + l] : lanes[l];
        for (const double lane : lanes) largest = max(largest, lane);
    }
    for (; j < n; ++j) largest = max(largest, p[j]);
    return largest;
}

// Its first place.
int64_t first_largest(const double* p, int64_t n) {
    const double largest = largest_of(p, n);
    // Many at a time, as long as it is not among them.
    int64_t j = 0;
    for (; j + MANY < n; j += MANY) {
        int n_found = 0;
        for (int l = 0; l < MANY; ++l) n_found += p[j + l] == largest;
        if (n_found) break;
    }
    while (j < n - 1 && p[j] != largest) ++j;
    return j;
}

bool any_negative(const double* x, int64_t n) {
    return sum(n, [=](int64_t j) { return x[j] < 0.0 ? 1.0 : 0.0; }) > 0.0;
}

struct Summary {
    double squares, along;
    bool has_negative;
};

// ‖h‖², ⟨h, direction⟩ and whether an entry is negative.
Summary summarise(const double* h, const double* direction, int64_t n) {
    return {dot(h, h, n), dot(h, direction, n), any_negative(h, n)};
}

Summary summarise_sparse(const Matrix& features, int64_t row, const double* h,
                         const double* direction) {
    Summary s{0.0, 0.0, false};
    for_each_stored(features, row, [&](int64_t j, double value) {
        s.squares += value * h[j];
        s.along += value * direction[j];
        s.has_negative |= h[j] < 0.0;
    });
    return s;
}

Read read(const Stretch& stretch, const Known& known, int64_t lo, int64_t hi,
          const double* direction, double tolerance, const Scratch& scratch) {
    const int64_t n_classes = stretch.proba.n_columns, n_features = stretch.features.n_columns;
    double* p = scratch.a;
    Staged features(stretch.features, scratch);
    bool has_negative = false;
    for (int64_t i = lo; i < hi; ++i) {
        const int64_t own = i - stretch.first;
        load_dense(stretch.proba, own, p);
        const double total = sum(n_classes, [=](int64_t j) { return p[j]; });
        if (!(std::fabs(total - 1.0) <= tolerance * LENIENT) || any_negative(p, n_classes))
            return {i, has_negative};
        const int64_t y = first_largest(p, n_classes);
        const double q = 1.0 - p[y];
        // A single class is its own runner-up, and has no second.
        p[y] = n_classes == 1 ? 0.0 : -1.0;
        const int64_t y2 = first_largest(p, n_classes);
        const double second = p[y2];
        p[y] = p[y2] = 0.0;
        double w2 = dot(p, p, n_classes), t2 = w2 + second * second;

        features.set(own);
        const double* row = features.get();
        const Summary h = stretch.features.is_sparse
                              ? summarise_sparse(stretch.features, own, row, direction)
                              : summarise(row, direction, n_features);
        features.clear();
        has_negative |= h.has_negative;
        const double h2 = h.squares + known.bias;
        known.squared_norms[i] = (q * q + t2) * h2;
        if (!(h2 < TOO_LARGE * LENIENT)) return {i, has_negative};
        if (q < 0.0) {
            t2 += q * q;
            w2 += y2 != y ? q * q : 0.0;
        }
        known.labels.set(i, y);
        known.runners_up.set(i, y2);
        known.scalars[i] = {q, std::sqrt(t2), std::sqrt(h2), h.along, std::sqrt(w2)};
    }
    return {-1, has_negative};
}

double lowered_within(const Centres& block, int64_t i, const int64_t* others, int64_t n_others,
                      double d, double enough, const Scratch& scratch) {
    const int64_t n_classes = block.n_classes, n_features = block.n_features;
    const Centre& row = block.centres[i];
    const double* a = block.residuals + i * n_classes;
    bool is_loaded = false;
    for (const int64_t* j = others; j < others + n_others && d > enough; ++j) {
        const Centre& other = block.centres[*j];
        const double* other_a = block.residuals + *j * n_classes;
        const double total = row.squared_norm + other.squared_norm;
        const Ends ends_a = ends_of_a(row.label == other.label, row.q, row.t, other.q, other.t,
                                      overlap(row.t, other.t));
        const Ends ends_h = ends_of_h(row.x, row.perp, other.x, other.perp, block.bias,
                                      block.least_product);
        if (least_d2(total, ends_a, ends_h) >= d) continue;
        const double alpha = dot(a, other_a, n_classes);
        if (least_d2(total, alpha, ends_h) >= d) continue;
        if (!is_loaded) load_centre(block, i, scratch.row);
        is_loaded = true;
        double d2 = total - 2.0 * alpha * (block.bias + dot(scratch.row, block, *j));
        if (d2 < CANCELLED * total) {
            load_centre(block, *j, scratch.other);
            d2 = from_differences({a, scratch.row}, {other_a, scratch.other}, n_classes,
                                  n_features, block.bias);
            clear_centre(block, *j, scratch.other);
        }
        d = min(d, d2);
    }
    if (is_loaded) clear_centre(block, i, scratch.row);
    return d;
}

void lower_to_bound(const double* squared_norms, double norm, double widened, double* values,
                    int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        const double limit = std::sqrt(squared_norms[i]) + norm;
        // Not 0, where all norms are: before the first pass that marks what cannot be picked.
        values[i] = min(values[i], max(limit * limit * widened, 0x1p-1022));
    }
}

double total(const double* values, int64_t n) {
    return sum(n, [=](int64_t i) { return values[i]; });
}

// 2ˢ comes as two factors, for it may be too large for one; powers of 2 round nothing.
inline int64_t weight(double value, double first, double second) {
    return static_cast<int64_t>(std::ceil(value * first * second));
}

void sum_weights(const double* values, int64_t n, double first, double second, int64_t group,
                 int64_t* totals) {
    for (int64_t lo = 0; lo < n; lo += group) {
        const int64_t hi = n - lo < group ? n : lo + group;
        int64_t total = 0;
        for (int64_t i = lo; i < hi; ++i) total += weight(values[i], first, second);
        totals[lo / group] = total;
    }
}

void find(const double* values, int64_t n, double first, double second, int64_t group,
          const int64_t* starts, const int64_t* tickets, int64_t n_tickets, int64_t* rows,
          int64_t* weights) {
    const int64_t n_groups = (n + group - 1) / group;
    for (int64_t t = 0; t < n_tickets; ++t) {
        const int64_t found = n_up_to(starts + 1, n_groups - 1, tickets[t]);
        int64_t left = tickets[t] - starts[found], i = found * group;
        int64_t own = weight(values[i], first, second);
        while (left >= own && i < n - 1) {
            left -= own;
            own = weight(values[++i], first, second);
        }
        rows[t] = i;
        weights[t] = own;
    }
}

}  // namespace

#define NAMED(instructions) NAMED_AGAIN(instructions)
#define NAMED_AGAIN(instructions) kernels_##instructions, #instructions
#define DEFINE(name, text) \
    extern const Kernels name;   \
    const Kernels name{text, mean_direction, read, lower, changing, lowered_within, \
                       lower_to_bound, largest_of, total, sum_weights, find};
#define DEFINE_WITH(...) DEFINE(__VA_ARGS__)
DEFINE_WITH(NAMED(INSTRUCTIONS))

}  // namespace labelnext
