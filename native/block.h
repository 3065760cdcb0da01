// A block of centres, or of drawn rows, with what it owns.
#pragma once

#include <mutex>
#include <vector>

#include "layout.h"

namespace labelnext {

// Whether float32 holds all numbers of a type: then more of them stay in cache.
inline bool fits_float32(Type type) {
    return type != Type::F64 && type != Type::I32 && type != Type::I64 && type != Type::U32 &&
           type != Type::U64;
}

// Rows of a pool, or of a block, that go into another block: rows `rows` of what is known of all,
// rows `places` of the matrices. `proba` may be residuals as well.
struct Part {
    const Known& known;
    const Matrix &proba, &features;
    bool keeps_float32;  // whether float32 holds all probabilities of the pool
    const int64_t *rows, *places;
    int64_t n;
};

class Block {
  public:
    // Rows of one or more parts, one below the other, copied. Throws std::invalid_argument if the
    // parts are not of one kind.
    Block(const std::vector<Part>& parts, double least_product);

    // Add rows below.
    void grow(const Part& part);

    // Some of its rows, to go into another block.
    Part part(const int64_t* rows, int64_t n) const {
        return {known_, rows_.proba, rows_.features, keeps_float32, rows, rows, n};
    }

    // As rows: residuals stand for probabilities.
    const Stretch& rows() const { return rows_; }
    const Known& known() const { return known_; }

    // As centres; with their `rest` and, unless few are met by rows of which nothing is known yet,
    // with tables where a pass goes over them.
    const Centres& centres() const { return view; }
    const Centres& with_tables(bool fresh);

  private:
    void append(const Part& part);
    void append_features(const Matrix& features, int64_t row);
    void make_views();
    void make_rest();
    void make_tables();

    struct OwnTable {
        std::vector<int64_t> centres;
        std::vector<double> norms;
        std::vector<Word> words;
    };
    Table table(OwnTable&) const;

    bool keeps_float32, has_narrow_features;
    std::vector<int32_t> labels, runners_up;
    std::vector<double> residuals, squared_norms, features, memory;
    std::vector<float> narrow_features;
    std::vector<Scalars> own_scalars;
    Known known_{};
    Stretch rows_{};
    Centres view{};
    std::vector<Centre> scalars;
    std::vector<int64_t> entries, sparse_columns, sparse_starts, starts;
    std::vector<double> columns, wide_rest;
    std::vector<float> narrow_rest;
    OwnTable picked, by_class, by_norm;
    std::once_flag has_rest, has_tables;
};

}  // namespace labelnext
