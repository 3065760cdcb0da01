#include "block.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "rows.h"

namespace labelnext {

namespace {

void require(bool is_so, const char* otherwise) {
    if (!is_so) throw std::invalid_argument(otherwise);
}

// A matrix of our own in C order.
template <class T>
Matrix matrix(const std::vector<T>& values, Type type, int64_t n_rows, int64_t n_columns) {
    Matrix m{};
    m.data = reinterpret_cast<const char*>(values.data());
    m.type = type;
    m.n_rows = n_rows;
    m.n_columns = n_columns;
    m.row_stride = n_columns * static_cast<int64_t>(sizeof(T));
    m.column_stride = sizeof(T);
    return m;
}

}  // namespace

Block::Block(const std::vector<Part>& parts, double least_product) {
    require(!parts.empty(), "A block must be made of at least one part.");
    const Part& first = parts[0];
    view.n_classes = first.proba.n_columns;
    view.n_features = first.features.n_columns;
    view.is_sparse = first.features.is_sparse;
    view.bias = first.known.bias;
    view.least_product = least_product;
    keeps_float32 = first.keeps_float32;
    has_narrow_features = !view.is_sparse && fits_float32(first.features.type);
    int64_t n = 0;
    for (const Part& part : parts) n += part.n;
    residuals.reserve(n * view.n_classes);
    if (view.is_sparse)
        sparse_starts.push_back(0);
    else if (has_narrow_features)
        narrow_features.reserve(n * view.n_features);
    else
        features.reserve(n * view.n_features);
    for (const Part& part : parts) append(part);
    view.n = n;
    make_views();
}

void Block::grow(const Part& part) {
    append(part);
    view.n += part.n;
    make_views();
}

void Block::append(const Part& part) {
    const int64_t n_classes = view.n_classes;
    const bool is_alike = part.proba.n_columns == n_classes &&
                          part.features.n_columns == view.n_features &&
                          part.features.is_sparse == view.is_sparse &&
                          part.keeps_float32 == keeps_float32 && part.known.bias == view.bias &&
                          (view.is_sparse || fits_float32(part.features.type) == has_narrow_features);
    require(is_alike, "All rows of a block must have the same classes and features.");
    for (int64_t i = 0; i < part.n; ++i) {
        const int64_t row = part.rows[i], place = part.places[i];
        require(0 <= row && row < part.known.n_rows && 0 <= place && place < part.proba.n_rows &&
                    place < part.features.n_rows,
                "These rows are not all there.");
        const int64_t label = part.known.labels[row], second = part.known.runners_up[row];
        require(0 <= label && label < n_classes && 0 <= second && second < n_classes,
                "Labels must be those of classes.");
        const Scalars& s = part.known.scalars[row];
        labels.push_back(static_cast<int32_t>(label));
        runners_up.push_back(static_cast<int32_t>(second));
        squared_norms.push_back(part.known.squared_norms[row]);
        own_scalars.push_back(s);
        const size_t at = residuals.size();
        residuals.resize(at + n_classes);
        load_dense(part.proba, place, residuals.data() + at);
        residuals[at + label] = 0.0 - s.q;
        append_features(part.features, place);
    }
}

void Block::append_features(const Matrix& from, int64_t row) {
    if (!view.is_sparse) {
        memory.resize(view.n_features);
        load_dense(from, row, memory.data());
        if (has_narrow_features)
            narrow_features.insert(narrow_features.end(), memory.begin(), memory.end());
        else
            features.insert(features.end(), memory.begin(), memory.end());
        return;
    }
    std::vector<std::pair<int64_t, double>> stored;
    for_each_stored(from, row, [&](int64_t column, double value) {
        stored.emplace_back(column, value);
    });
    const auto before = [](const auto& x, const auto& y) { return x.first < y.first; };
    if (!std::is_sorted(stored.begin(), stored.end(), before))
        std::stable_sort(stored.begin(), stored.end(), before);
    const int64_t start = sparse_starts.back();
    for (const auto& [column, value] : stored)
        if (static_cast<int64_t>(features.size()) > start && sparse_columns.back() == column)
            features.back() += value;
        else {
            sparse_columns.push_back(column);
            features.push_back(value);
        }
    sparse_starts.push_back(static_cast<int64_t>(features.size()));
}

void Block::make_views() {
    const int64_t n = view.n;
    view.n_words = (n + WORD - 1) / WORD;
    view.residuals = residuals.data();
    known_ = {n,
              {reinterpret_cast<char*>(labels.data()), true},
              {reinterpret_cast<char*>(runners_up.data()), true},
              squared_norms.data(),
              own_scalars.data(),
              view.bias};
    rows_.proba = matrix(residuals, Type::F64, n, view.n_classes);
    rows_.features = has_narrow_features
                         ? matrix(narrow_features, Type::F32, n, view.n_features)
                         : matrix(features, Type::F64, n, view.n_features);
    if (view.is_sparse) {
        Matrix& m = rows_.features;
        m.is_sparse = m.wide_columns = m.wide_starts = true;
        m.columns = reinterpret_cast<const char*>(sparse_columns.data());
        m.starts = reinterpret_cast<const char*>(sparse_starts.data());
        view.sparse_features = {features.data(), sparse_columns.data(), sparse_starts.data()};
    } else if (has_narrow_features)
        view.features = {narrow_features.data(), nullptr, view.n_features};
    else
        view.features = {nullptr, features.data(), view.n_features};

    entries.assign(labels.begin(), labels.end());
    scalars.resize(n);
    for (int64_t c = 0; c < n; ++c) {
        const Scalars& s = own_scalars[c];
        // Nobody's, each another.
        const int64_t label = s.q < 0.0 ? -1 - c : entries[c];
        const double h = std::sqrt(max(s.h * s.h - view.bias, 0.0));
        scalars[c] = {label, squared_norms[c], max(s.q, 0.0), s.t, s.x, leg(h, s.x)};
    }
    view.entries = entries.data();
    view.centres = scalars.data();
}

const Centres& Block::with_tables(bool fresh) {
    std::call_once(has_rest, [this] { make_rest(); });
    if (!fresh || view.n > FEW) std::call_once(has_tables, [this] { make_tables(); });
    return view;
}

void Block::make_rest() {
    const int64_t n = view.n, n_classes = view.n_classes;
    // The residuals without the pseudo-labels' entries are the pool's probabilities.
    wide_rest.assign(view.residuals, view.residuals + n * n_classes);
    for (int64_t c = 0; c < n; ++c)
        if (scalars[c].label >= 0) wide_rest[c * n_classes + entries[c]] = 0.0;
    view.rest = {nullptr, wide_rest.data(), n_classes};
    if (keeps_float32) {
        narrow_rest.assign(wide_rest.begin(), wide_rest.end());
        wide_rest = {};
        view.rest = {narrow_rest.data(), nullptr, n_classes};
    }
}

void Block::make_tables() {
    const int64_t n = view.n, n_classes = view.n_classes;
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
