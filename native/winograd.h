// Winograd's minimal filtering: M x M outputs of a 3 x 3 filter from (M + 2)^2 products for each
// channel, where the definition takes 9 M^2. Lavin and Gray, Fast Algorithms for Convolutional
// Neural Networks, 2015: https://arxiv.org/abs/1509.09308
//
// A tile of (M + 2) x (M + 2) inputs and the filter are evaluated as polynomials at M + 1 points
// and at infinity, multiplied there, and interpolated. Points decide how rounding errors grow. For
// M = 4 the common choice is 0, 1, -1, 2, -2. With 0, +-sqrt(1/2), +-sqrt(2) errors are half as
// large, the largest of them a quarter, and the transforms are as short, since the squares multiply
// to 1.
#pragma once

#include "simd.h"

namespace attar::ATTAR_ISA {

template <int M>
struct Winograd;

// Along one axis. `input` and `output` go from M + 2 vectors to M + 2, and from M + 2 to M.
template <>
struct Winograd<2> {
    static constexpr int points = 4;
    static constexpr double filter[points][3] = {
        {-1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};

    template <class T>
    static ATTAR_INLINE void input(const Vec<T>* d, Vec<T>* to) {
        to[0] = d[2] - d[0];
        to[1] = d[1] + d[2];
        to[2] = d[2] - d[1];
        to[3] = d[3] - d[1];
    }

    template <class T>
    static ATTAR_INLINE void output(const Vec<T>* m, Vec<T>* to) {
        to[0] = m[0] + (m[1] + m[2]);
        to[1] = (m[1] - m[2]) + m[3];
    }
};

template <>
struct Winograd<4> {
    static constexpr int points = 6;
    static constexpr double a = 0.70710678118654752440, b = 2 * a;
    static constexpr double filter[points][3] = {
        {1, 0, 0},
        {-1 / 1.5, -a / 1.5, -0.5 / 1.5},
        {-1 / 1.5, a / 1.5, -0.5 / 1.5},
        {1 / 6.0, b / 6, 2 / 6.0},
        {1 / 6.0, -b / 6, 2 / 6.0},
        {0, 0, 1}};

    template <class T>
    static ATTAR_INLINE void input(const Vec<T>* d, Vec<T>* to) {
        const T at_a = static_cast<T>(a), at_b = static_cast<T>(b);
        const Vec<T> even_a = d[4] - T{2} * d[2], odd_a = d[3] - T{2} * d[1];
        const Vec<T> even_b = d[4] - T{0.5} * d[2], odd_b = d[3] - T{0.5} * d[1];
        to[0] = (d[0] + d[4]) - T{2.5} * d[2];
        to[1] = even_a + at_a * odd_a;
        to[2] = even_a - at_a * odd_a;
        to[3] = even_b + at_b * odd_b;
        to[4] = even_b - at_b * odd_b;
        to[5] = (d[1] + d[5]) - T{2.5} * d[3];
    }

    template <class T>
    static ATTAR_INLINE void output(const Vec<T>* m, Vec<T>* to) {
        const Vec<T> even_a = m[1] + m[2], odd_a = static_cast<T>(a) * (m[1] - m[2]);
        const Vec<T> even_b = m[3] + m[4], odd_b = static_cast<T>(b) * (m[3] - m[4]);
        to[0] = m[0] + (even_a + even_b);
        to[1] = odd_a + odd_b;
        to[2] = T{0.5} * even_a + T{2} * even_b;
        to[3] = (T{0.5} * odd_a + m[5]) + T{2} * odd_b;
    }
};

// Both axes: P x P loaded vectors -> P x P, stored by store_at(e, vector).
template <int M, class T, class Load, class Store>
ATTAR_INLINE void transform_input(const Load& load_at, const Store& store_at) {
    constexpr int P = Winograd<M>::points;
    Vec<T> half[P][P];  // [column][row]
#pragma GCC unroll 6
    for (int j = 0; j < P; ++j) {
        Vec<T> column[P];
#pragma GCC unroll 6
        for (int i = 0; i < P; ++i) column[i] = load_at(i * P + j);
        Winograd<M>::template input<T>(column, half[j]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < P; ++i) {
        Vec<T> row[P], to[P];
#pragma GCC unroll 6
        for (int j = 0; j < P; ++j) row[j] = half[j][i];
        Winograd<M>::template input<T>(row, to);
#pragma GCC unroll 6
        for (int j = 0; j < P; ++j) store_at(i * P + j, to[j]);
    }
}

// Both axes: P x P loaded products -> M x M outputs.
template <int M, class T, class Load>
ATTAR_INLINE void transform_output(const Load& load_at, Vec<T> (&out)[M][M]) {
    constexpr int P = Winograd<M>::points;
    Vec<T> half[P][M];  // [column][row]
#pragma GCC unroll 6
    for (int j = 0; j < P; ++j) {
        Vec<T> column[P];
#pragma GCC unroll 6
        for (int i = 0; i < P; ++i) column[i] = load_at(i * P + j);
        Winograd<M>::template output<T>(column, half[j]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < M; ++i) {
        Vec<T> row[P];
#pragma GCC unroll 6
        for (int j = 0; j < P; ++j) row[j] = half[j][i];
        Winograd<M>::template output<T>(row, out[i]);
    }
}

// A vector of 3 x 3 filters, evaluated in double: P x P numbers of each.
template <int M, class Weight, class Store>
void transform_filter(const Weight& weight, const Store& store_at) {
    constexpr int P = Winograd<M>::points;
    constexpr auto& at = Winograd<M>::filter;
    Vec<double> half[P][3];
    for (int i = 0; i < P; ++i)
        for (int x = 0; x < 3; ++x)
            half[i][x] = at[i][0] * weight(0, x) + at[i][1] * weight(1, x) + at[i][2] * weight(2, x);
    for (int i = 0; i < P; ++i)
        for (int j = 0; j < P; ++j)
            store_at(i * P + j,
                     half[i][0] * at[j][0] + half[i][1] * at[j][1] + half[i][2] * at[j][2]);
}

}  // namespace attar::ATTAR_ISA
