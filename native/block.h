// A block of centres, or of drawn rows, with what it owns.
#pragma once

#include <mutex>
#include <vector>

#include "layout.h"

namespace labelnext {

// What a block is made of: arrays that outlive it, n rows of each.
struct BlockFactors {
    int64_t n, n_classes;
    const double* residuals;     // (n, n_classes)
    Matrix features;             // in C order or CSR; float32 where that holds all of the pool's
    bool keeps_float32;          // whether float32 holds all probabilities of the pool
    Known known;                 // of its rows
    double least_product;
};

class Block {
  public:
    explicit Block(const BlockFactors& factors);

    // As rows: residuals stand for probabilities.
    const Stretch& rows() const { return rows_; }
    const Known& known() const { return factors.known; }

    // As centres; `tables` too where a pass goes over them.
    const Centres& centres() const { return view; }
    const Centres& with_tables();

  private:
    void make_tables();

    struct OwnTable {
        std::vector<int64_t> centres;
        std::vector<double> norms;
        std::vector<Word> words;
    };
    Table table(OwnTable&) const;

    BlockFactors factors;
    Stretch rows_;
    Centres view{};
    std::vector<Centre> scalars;
    std::vector<int64_t> entries, sparse_columns, sparse_starts, starts;
    std::vector<double> sparse_values, columns, wide_rest;
    std::vector<float> narrow_rest;
    OwnTable picked, by_class, by_norm;
    std::once_flag has_tables;
};

}  // namespace labelnext
