// What Winograd's algorithm does along one axis, for tiles of 4 results: of a 3-tap convolution with stride 1, and of
// one with stride 2 over a picture that is blurred first. In two dimensions both axes are done in turn.
//
// y = A' [(G w) * (B' x)]: `of_input` is B', `to_output` A', `of_gradient` A, `of_weight` G, `to_weight` G',
// `to_input` B. Each takes its samples as d(0), d(1), ... and hands results on as to(0, result), ... Points from
// first_point(k) to first_point(k + 1) share the k-th transformed weight.
#pragma once

#include "fir.h"
#include "lanes.h"

namespace sm {

// F(4, 3) with the points 0, +-a, +-b and infinity (Lavin and Gray 2016): 6 products where the definition has 12.
template <class T>
struct Stride1 {
  static constexpr int POINTS = 6, WINDOW = 6, STEP = 4;
  // a = sqrt(1/2) and b = sqrt(2): rounding errors are half those of 1 and 2
  static constexpr double PA = 0.70710678118654752440, PB = 1.41421356237309504880;
  static constexpr int first_point(int matrix) { return matrix; }

  // B', 6 -> 6
  template <class In, class Out>
  static SM_INLINE void of_input(In d, Out to) {
    const Vec<T> d1 = d(1), d2 = d(2), d3 = d(3), d4 = d(4);
    const Vec<T> even_a = d4 - d2 * T(2), odd_a = (d3 - d1 * T(2)) * T(PA);
    const Vec<T> even_b = d4 - d2 * T(0.5), odd_b = (d3 - d1 * T(0.5)) * T(PB);
    to(0, d(0) + d4 - d2 * T(2.5));
    to(1, even_a + odd_a);
    to(2, even_a - odd_a);
    to(3, even_b + odd_b);
    to(4, even_b - odd_b);
    to(5, d1 + d(5) - d3 * T(2.5));
  }
  // A', 6 -> 4
  template <class In, class Out>
  static SM_INLINE void to_output(In m, Out to) {
    const Vec<T> sum_a = m(1) + m(2), sum_b = m(3) + m(4);
    const Vec<T> odd_a = (m(1) - m(2)) * T(PA), odd_b = (m(3) - m(4)) * T(PB);
    to(0, m(0) + sum_a + sum_b);
    to(1, odd_a + odd_b);
    to(2, sum_a * T(0.5) + sum_b * T(2));
    to(3, odd_a * T(0.5) + odd_b * T(2) + m(5));
  }
  // A, 4 -> 6
  template <class In, class Out>
  static SM_INLINE void of_gradient(In g, Out to) {
    const Vec<T> g1 = g(1), g2 = g(2), g3 = g(3);
    const Vec<T> even_a = g(0) + g2 * T(0.5), odd_a = (g1 + g3 * T(0.5)) * T(PA);
    const Vec<T> even_b = g(0) + g2 * T(2), odd_b = (g1 + g3 * T(2)) * T(PB);
    to(0, g(0));
    to(1, even_a + odd_a);
    to(2, even_a - odd_a);
    to(3, even_b + odd_b);
    to(4, even_b - odd_b);
    to(5, g3);
  }
  // G, 3 -> 6
  template <class In, class Out>
  static SM_INLINE void of_weight(In w, Out to) {
    const Vec<T> w1 = w(1), w2 = w(2);
    const Vec<T> even_a = (w(0) + w2 * T(0.5)) * T(-2. / 3), odd_a = w1 * T(-PA * 2 / 3);
    const Vec<T> even_b = (w(0) + w2 * T(2)) * T(1. / 6), odd_b = w1 * T(PB / 6);
    to(0, w(0));
    to(1, even_a + odd_a);
    to(2, even_a - odd_a);
    to(3, even_b + odd_b);
    to(4, even_b - odd_b);
    to(5, w2);
  }
  // G', 6 -> 3
  template <class In, class Out>
  static SM_INLINE void to_weight(In u, Out to) {
    const Vec<T> sum_a = (u(1) + u(2)) * T(-2. / 3), sum_b = (u(3) + u(4)) * T(1. / 6);
    const Vec<T> odd_a = (u(1) - u(2)) * T(-PA * 2 / 3), odd_b = (u(3) - u(4)) * T(PB / 6);
    to(0, u(0) + sum_a + sum_b);
    to(1, odd_a + odd_b);
    to(2, sum_a * T(0.5) + sum_b * T(2) + u(5));
  }
};

// Stride 2: taps 0 and 2 see the even samples of the blurred picture, F(4, 2) with the points 0, 1/2, -1, 2 and
// infinity; tap 1 sees the odd ones, four products with the same weight. 9 products where the definition has 12. The
// blur, 4 taps per axis, is a part of B': the blurred picture exists for a tile at a time only.
template <class T>
struct Stride2 {
  static constexpr int POINTS = 9, WINDOW = 12, STEP = 8;
  T taps[4];  // correlating: blurred[i] = sum_k taps[k] x[i + k]
  static constexpr int first_point(int matrix) { return matrix < 6 ? matrix : POINTS; }

  // B', 12 -> 9
  template <class In, class Out>
  SM_INLINE void of_input(In d, Out to) const {
    Vec<T> x[WINDOW], b[9];
#pragma GCC unroll 12
    for (int i = 0; i < WINDOW; ++i) x[i] = d(i);
#pragma GCC unroll 9
    for (int i = 0; i < 9; ++i) b[i] = x[i] * taps[0] + x[i + 1] * taps[1] + x[i + 2] * taps[2] + x[i + 3] * taps[3];
    const Vec<T> inner = (b[2] + b[4]) * T(-1.5);
    to(0, b[0] + b[6] + inner);
    to(1, b[6] - b[4] - b[2] * T(2));
    to(2, b[6] + b[2] - b[4] * T(2.5));
    to(3, b[6] + (b[4] - b[2]) * T(0.5));
    to(4, b[8] + b[2] - (b[6] + b[4]) * T(1.5));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) to(5 + i, b[2 * i + 1]);
  }
  // B, 9 -> 12
  template <class In, class Out>
  SM_INLINE void to_input(In v, Out to) const {
    const Vec<T> v0 = v(0), v1 = v(1), v2 = v(2), v3 = v(3), v4 = v(4);
    const Vec<T> outer = (v0 + v4) * T(-1.5);
    const Vec<T> b[9] = {v0,
                         v(5),
                         v0 * T(-1.5) - v1 * T(2) + v2 - v3 * T(0.5) + v4,
                         v(6),
                         outer - v1 - v2 * T(2.5) + v3 * T(0.5),
                         v(7),
                         v0 + v1 + v2 + v3 - v4 * T(1.5),
                         v(8),
                         v4};
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) {
      Vec<T> sum{};
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k)
        if (i >= k && i - k < 9) sum += b[i - k] * taps[k];
      to(i, sum);
    }
  }
  // A', 9 -> 4
  template <class In, class Out>
  static SM_INLINE void to_output(In m, Out to) {
    const Vec<T> m1 = m(1), m2 = m(2), m3 = m(3);
    to(0, m(0) + m1 + m2 + m3 + m(5));
    to(1, m1 * T(0.5) - m2 + m3 * T(2) + m(6));
    to(2, m1 * T(0.25) + m2 + m3 * T(4) + m(7));
    to(3, m1 * T(0.125) - m2 + m3 * T(8) + m(4) + m(8));
  }
  // A, 4 -> 9
  template <class In, class Out>
  static SM_INLINE void of_gradient(In g, Out to) {
    const Vec<T> g0 = g(0), g1 = g(1), g2 = g(2), g3 = g(3);
    to(0, g0);
    to(1, g0 + g1 * T(0.5) + g2 * T(0.25) + g3 * T(0.125));
    to(2, g0 - g1 + g2 - g3);
    to(3, g0 + g1 * T(2) + g2 * T(4) + g3 * T(8));
    to(4, g3);
    to(5, g0), to(6, g1), to(7, g2), to(8, g3);
  }
  // G, 3 -> 6
  template <class In, class Out>
  static SM_INLINE void of_weight(In w, Out to) {
    const Vec<T> w0 = w(0), w2 = w(2);
    to(0, w0);
    to(1, (w0 + w2 * T(0.5)) * T(-8. / 9));
    to(2, (w0 - w2) * T(-2. / 9));
    to(3, (w0 + w2 * T(2)) * T(1. / 9));
    to(4, w2);
    to(5, w(1));
  }
  // G', 6 -> 3
  template <class In, class Out>
  static SM_INLINE void to_weight(In u, Out to) {
    const Vec<T> u1 = u(1) * T(-4. / 9), u2 = u(2) * T(2. / 9), u3 = u(3) * T(1. / 9);
    to(0, u(0) + u1 * T(2) - u2 + u3);
    to(1, u(5));
    to(2, u1 + u2 + u3 * T(2) + u(4));
  }
};

}  // namespace sm
