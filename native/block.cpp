#include "block.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "rows.h"

namespace labelnext {

Block::Block(const BlockFactors& given) : factors(given) {
    const int64_t n = factors.n;
    const Matrix& features = factors.features;
    const Known& known = factors.known;
    const int64_t width = sizeof(double);

    rows_.features = features;
    rows_.first = 0;
    Matrix& residuals = rows_.proba;
    residuals.n_columns = view.n_classes = factors.n_classes;
    residuals.data = reinterpret_cast<const char*>(factors.residuals);
    residuals.type = Type::F64;
    residuals.n_rows = n;
    residuals.row_stride = residuals.n_columns * width;
    residuals.column_stride = width;
    residuals.is_sparse = false;

    view.n = n;
    view.n_words = (n + WORD - 1) / WORD;
    view.n_features = features.n_columns;
    view.bias = known.bias;
    view.least_product = factors.least_product;
    view.residuals = factors.residuals;

    entries.resize(n);
    scalars.resize(n);
    for (int64_t c = 0; c < n; ++c) {
        const Scalars& s = known.scalars[c];
        entries[c] = known.labels[c];
        // Nobody's, each another.
        const int64_t label = s.q < 0.0 ? -1 - c : entries[c];
        const double h = std::sqrt(max(s.h * s.h - known.bias, 0.0));
        scalars[c] = {label, known.squared_norms[c], max(s.q, 0.0), s.t, s.x, leg(h, s.x)};
    }
    view.entries = entries.data();
    view.centres = scalars.data();

    view.is_sparse = features.is_sparse;
    if (features.is_sparse) {
        sparse_starts.push_back(0);
        for (int64_t c = 0; c < n; ++c) {
            for_each_stored(features, c, [&](int64_t column, double value) {
                sparse_columns.push_back(column);
                sparse_values.push_back(value);
            });
            sparse_starts.push_back(static_cast<int64_t>(sparse_values.size()));
        }
        view.sparse_features = {sparse_values.data(), sparse_columns.data(), sparse_starts.data()};
    } else {
        const bool is_float = features.type == Type::F32;
        view.features = {is_float ? reinterpret_cast<const float*>(features.data) : nullptr,
                         is_float ? nullptr : reinterpret_cast<const double*>(features.data),
                         features.n_columns};
    }
}

const Centres& Block::with_tables() {
    std::call_once(has_tables, [this] { make_tables(); });
    return view;
}

void Block::make_tables() {
    const int64_t n = view.n, n_classes = view.n_classes;
    // The residuals without the pseudo-labels' entries are the pool's probabilities.
    wide_rest.assign(view.residuals, view.residuals + n * n_classes);
    for (int64_t c = 0; c < n; ++c)
        if (scalars[c].label >= 0) wide_rest[c * n_classes + entries[c]] = 0.0;
    view.rest = {nullptr, wide_rest.data(), n_classes};
    if (factors.keeps_float32) {
        narrow_rest.assign(wide_rest.begin(), wide_rest.end());
        wide_rest = {};
        view.rest = {narrow_rest.data(), nullptr, n_classes};
    }
    if (n_classes < MANY_CLASSES) {
        columns.assign(view.n_words * n_classes * WORD, 0.0);
        for (int64_t c = 0; c < n; ++c)
            for (int64_t j = 0; j < n_classes; ++j)
                columns[(c / WORD * n_classes + j) * WORD + c % WORD] =
                    view.residuals[c * n_classes + j];
        view.columns = columns.data();
    }

    for (const Centre& c : scalars) {
        const double a = max(std::sqrt(c.q * c.q + c.t * c.t), std::numeric_limits<double>::min());
        view.most_t = max(view.most_t, c.t / a);
        view.most_both = max(view.most_both, (c.t + c.q) / a);
    }

    const auto shorter = [this](int64_t x, int64_t y) {
        return scalars[x].squared_norm < scalars[y].squared_norm;
    };
    for (OwnTable* each : {&picked, &by_class, &by_norm}) {
        each->centres.resize(n);
        std::iota(each->centres.begin(), each->centres.end(), 0);
    }
    std::stable_sort(by_norm.centres.begin(), by_norm.centres.end(), shorter);
    by_class.centres = by_norm.centres;
    std::stable_sort(
        by_class.centres.begin(), by_class.centres.end(),
        [this](int64_t x, int64_t y) { return scalars[x].label < scalars[y].label; });
    starts.assign(n_classes + 1, 0);
    for (const Centre& c : scalars) ++starts[c.label < 0 ? 0 : c.label + 1];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    view.starts = starts.data();
    view.picked = table(picked);
    view.by_class = table(by_class);
    view.by_norm = table(by_norm);
}

Table Block::table(OwnTable& own) const {
    own.norms.resize(view.n);
    own.words.assign(view.n_words, Word{});
    for (int64_t s = 0; s < view.n_words * WORD; ++s) {
        Word& word = own.words[s / WORD];
        const int64_t l = s % WORD;
        if (s >= view.n) {
            // What fills up the last word is infinitely far from everything.
            word.squared_norms[l] = INFINITY;
            continue;
        }
        const Centre& c = scalars[own.centres[s]];
        own.norms[s] = std::sqrt(c.squared_norm);
        word.labels[l] = c.label;
        word.squared_norms[l] = c.squared_norm;
        word.q[l] = c.q;
        word.t[l] = c.t;
        word.x[l] = c.x;
        word.perp[l] = c.perp;
    }
    return {own.centres.data(), own.norms.data(), own.words.data()};
}

}  // namespace labelnext
