// 3 x 3 convolutions by Winograd's F(4 x 4, 3 x 3) (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural
// Networks"): 36 products where the definition has 144. Pictures are channels last.
//
// y = A' [(G w G') * (B' x B)] A for every tile of 4 x 4 results, with the points 0, +-a, +-b and infinity. The
// weight's gradient is the transpose of the same form: G' [sum over tiles of (B' x B) * (A g A')] G. Every result is
// summed in an order that the shapes alone decide.
#pragma once

#include <cstring>
#include <new>

#include "blocks.h"
#include "products.h"

namespace sm {

constexpr int POINTS = 36;
constexpr int SLOTS = 8;  // partial sums of a narrow weight's gradient
// a = sqrt(1/2) and b = sqrt(2): rounding errors are half those of 1 and 2
constexpr double PA = 0.70710678118654752440, PB = 1.41421356237309504880;

// B', 6 -> 6
template <class T>
inline void of_input(const Vec<T>* d, int from, Vec<T>* to, int step) {
  const Vec<T> d1 = d[from], d2 = d[2 * from], d3 = d[3 * from], d4 = d[4 * from];
  const Vec<T> even_a = d4 - d2 * T(2), odd_a = (d3 - d1 * T(2)) * T(PA);
  const Vec<T> even_b = d4 - d2 * T(0.5), odd_b = (d3 - d1 * T(0.5)) * T(PB);
  to[0] = d[0] + d4 - d2 * T(2.5);
  to[step] = even_a + odd_a;
  to[2 * step] = even_a - odd_a;
  to[3 * step] = even_b + odd_b;
  to[4 * step] = even_b - odd_b;
  to[5 * step] = d1 + d[5 * from] - d3 * T(2.5);
}

// A', 6 -> 4
template <class T>
inline void to_output(const Vec<T>* m, int from, Vec<T>* to, int step) {
  const Vec<T> sum_a = m[from] + m[2 * from], sum_b = m[3 * from] + m[4 * from];
  const Vec<T> odd_a = (m[from] - m[2 * from]) * T(PA), odd_b = (m[3 * from] - m[4 * from]) * T(PB);
  to[0] = m[0] + sum_a + sum_b;
  to[step] = odd_a + odd_b;
  to[2 * step] = sum_a * T(0.5) + sum_b * T(2);
  to[3 * step] = odd_a * T(0.5) + odd_b * T(2) + m[5 * from];
}

// A, 4 -> 6
template <class T>
inline void of_gradient(const Vec<T>* g, int from, Vec<T>* to, int step) {
  const Vec<T> g1 = g[from], g2 = g[2 * from], g3 = g[3 * from];
  const Vec<T> even_a = g[0] + g2 * T(0.5), odd_a = (g1 + g3 * T(0.5)) * T(PA);
  const Vec<T> even_b = g[0] + g2 * T(2), odd_b = (g1 + g3 * T(2)) * T(PB);
  to[0] = g[0];
  to[step] = even_a + odd_a;
  to[2 * step] = even_a - odd_a;
  to[3 * step] = even_b + odd_b;
  to[4 * step] = even_b - odd_b;
  to[5 * step] = g3;
}

// G, 3 -> 6
template <class T>
inline void of_weight(const Vec<T>* w, int from, Vec<T>* to, int step) {
  const Vec<T> w1 = w[from], w2 = w[2 * from];
  const Vec<T> even_a = (w[0] + w2 * T(0.5)) * T(-2. / 3), odd_a = w1 * T(-PA * 2 / 3);
  const Vec<T> even_b = (w[0] + w2 * T(2)) * T(1. / 6), odd_b = w1 * T(PB / 6);
  to[0] = w[0];
  to[step] = even_a + odd_a;
  to[2 * step] = even_a - odd_a;
  to[3 * step] = even_b + odd_b;
  to[4 * step] = even_b - odd_b;
  to[5 * step] = w2;
}

// G', 6 -> 3
template <class T>
inline void to_weight(const Vec<T>* u, int from, Vec<T>* to, int step) {
  const Vec<T> sum_a = (u[from] + u[2 * from]) * T(-2. / 3), sum_b = (u[3 * from] + u[4 * from]) * T(1. / 6);
  const Vec<T> odd_a = (u[from] - u[2 * from]) * T(-PA * 2 / 3), odd_b = (u[3 * from] - u[4 * from]) * T(PB / 6);
  to[0] = u[0] + sum_a + sum_b;
  to[step] = odd_a + odd_b;
  to[2 * step] = sum_a * T(0.5) + sum_b * T(2) + u[5 * from];
}

template <class T>
struct Scratch {
  T* at;
  explicit Scratch(int64_t count) : at(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(64)))) {}
  ~Scratch() { ::operator delete(at, std::align_val_t(64)); }
  Scratch(const Scratch&) = delete;
};

// Shapes of one convolution and how it is cut: `tiles` at a time, all points of them at once.
template <class T>
struct Winograd {
  static constexpr int L = LANES<T>, W = 2 * L;
  int64_t n;
  int height, width, padding, in, out;  // of the input; channels
  int out_height, out_width, down, across;
  int in_padded, out_padded, panels;
  int64_t total;  // tiles
  bool wide;      // weights too large for the nearest caches: every piece of work is shared, else whole blocks of tiles
  int tiles;

  Winograd(int64_t n, int height, int width, int padding, int in, int out)
      : n(n), height(height), width(width), padding(padding), in(in), out(out) {
    out_height = height + 2 * padding - 2, out_width = width + 2 * padding - 2;
    down = (out_height + 3) / 4, across = (out_width + 3) / 4;
    in_padded = (in + L - 1) / L * L, out_padded = (out + L - 1) / L * L, panels = (out_padded + W - 1) / W;
    total = n * down * across;
    wide = int64_t(in) * out * POINTS * sizeof(T) > (1 << 20);
    tiles = static_cast<int>(std::min<int64_t>(!wide ? 48 : int64_t(in) * out < (1 << 17) ? 96 : 192, total));
  }
  int64_t blocks() const { return (total + tiles - 1) / tiles; }
  int count(int64_t block) const { return static_cast<int>(std::min<int64_t>(tiles, total - block * tiles)); }
  // one register more than needed: else all points of a tile fall on the same lines of the cache
  int64_t plane(int padded) const { return int64_t(tiles) * padded + L; }

  // Tile t's window of `size` x `size` samples of a picture of `rows` x `columns`, from (-before, -before) on,
  // transformed and spread over the planes of `to`.
  template <int SIZE, class F>
  void spread(const T* x, int rows, int columns, int channels, int padded, int before, int64_t t, T* to, F f) const {
    const int64_t sample = t / (down * across);
    const int place = static_cast<int>(t % (down * across));
    const int y0 = place / across * 4 - before, x0 = place % across * 4 - before;
    const bool inside = y0 >= 0 && x0 >= 0 && y0 + SIZE <= rows && x0 + SIZE <= columns;
    for (int c = 0; c < channels; c += L) {
      const int lanes = std::min(L, channels - c);
      const T* from = x + ((sample * rows + y0) * columns + x0) * channels + c;
      Vec<T> d[SIZE * SIZE], half[6 * SIZE], full[POINTS];
      if (inside) {
#pragma GCC unroll 6
        for (int i = 0; i < SIZE; ++i)
#pragma GCC unroll 6
          for (int j = 0; j < SIZE; ++j) d[i * SIZE + j] = load(from + (int64_t(i) * columns + j) * channels, lanes);
      } else {
        for (int i = 0; i < SIZE; ++i)
          for (int j = 0; j < SIZE; ++j) {
            const bool there = y0 + i >= 0 && y0 + i < rows && x0 + j >= 0 && x0 + j < columns;
            d[i * SIZE + j] = there ? load(from + (int64_t(i) * columns + j) * channels, lanes) : Vec<T>{};
          }
      }
#pragma GCC unroll 6
      for (int j = 0; j < SIZE; ++j) f(d + j, SIZE, half + j, SIZE);
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) f(half + i * SIZE, 1, full + 6 * i, 1);
      const int64_t next = plane(padded);
#pragma GCC unroll 36
      for (int p = 0; p < POINTS; ++p) store(to + p * next + c, full[p], L);
    }
  }
  void input(const T* x, int64_t t, T* to) const {
    spread<6>(x, height, width, in, in_padded, padding, t, to,
              [](const Vec<T>* d, int from, Vec<T>* v, int step) { of_input<T>(d, from, v, step); });
  }
  void gradient(const T* g, int64_t t, T* to) const {
    spread<4>(g, out_height, out_width, out, out_padded, 0, t, to,
              [](const Vec<T>* d, int from, Vec<T>* v, int step) { of_gradient<T>(d, from, v, step); });
  }

  void output(const T* products, int64_t t, const T* bias, T* y) const {
    const int64_t sample = t / (down * across);
    const int place = static_cast<int>(t % (down * across)), y0 = place / across * 4, x0 = place % across * 4;
    for (int c = 0; c < out; c += L) {
      const int lanes = std::min(L, out - c);
      Vec<T> m[POINTS], half[24], full[16];
      for (int p = 0; p < POINTS; ++p) m[p] = load(products + p * plane(out_padded) + c, L);
      for (int j = 0; j < 6; ++j) to_output<T>(m + j, 6, half + j, 6);
      for (int i = 0; i < 4; ++i) to_output<T>(half + 6 * i, 1, full + 4 * i, 1);
      const Vec<T> b = bias ? load(bias + c, lanes) : Vec<T>{};
      for (int i = 0; i < std::min(4, out_height - y0); ++i)
        for (int j = 0; j < std::min(4, out_width - x0); ++j)
          store(y + ((sample * out_height + y0 + i) * out_width + x0 + j) * out + c, full[4 * i + j] + b, lanes);
    }
  }

  // w (out, in, 3, 3); flip: w (in, out, 3, 3) turned by half a turn, as the input's gradient wants it.
  void weights(const T* w, bool flip, int panel, T* u) const {
    const int first = panel * W, last = std::min(out, first + W);
    for (int i = 0; i < in; ++i) {
      T taps[9][W] = {};
      for (int o = first; o < last; ++o) {
        const T* from = w + (flip ? int64_t(i) * out + o : int64_t(o) * in + i) * 9;
        for (int k = 0; k < 9; ++k) taps[k][o - first] = from[flip ? 8 - k : k];
      }
      for (int part = 0; part < W; part += L) {
        Vec<T> d[9], half[18], full[POINTS];
        for (int k = 0; k < 9; ++k) d[k] = load(taps[k] + part, L);
        for (int j = 0; j < 3; ++j) of_weight<T>(d + j, 3, half + j, 3);
        for (int k = 0; k < 6; ++k) of_weight<T>(half + 3 * k, 1, full + 6 * k, 1);
        for (int p = 0; p < POINTS; ++p) store(u + ((int64_t(p) * panels + panel) * in + i) * W + part, full[p], L);
      }
    }
  }

  void product(int p, const T* v, const T* u, T* m, int count) const {
    for (int panel = 0; panel < panels; ++panel)
      multiply<T>(v + p * plane(in_padded), in_padded, 1, u + (int64_t(p) * panels + panel) * in * W, W,
                  m + p * plane(out_padded) + panel * W, out_padded, count, std::min(W, out_padded - panel * W), in,
                  false);
  }

  void forward(const T* x, const T* w, const T* bias, bool flip, T* y, const Workers& workers) const {
    const Scratch<T> u(int64_t(POINTS) * panels * in * W);
    share(workers, panels, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) weights(w, flip, static_cast<int>(panel), u.at);
    });
    const auto some = [&](int64_t begin, int64_t end, const Workers& inner) {
      const Scratch<T> v(POINTS * plane(in_padded)), m(POINTS * plane(out_padded));
      for (int64_t block = begin; block < end; ++block) {
        const int64_t first = block * tiles;
        share(inner, count(block), [&](int64_t from, int64_t to) {
          for (int64_t t = from; t < to; ++t) input(x, first + t, v.at + t * in_padded);
        });
        share(inner, POINTS, [&](int64_t from, int64_t to) {
          for (int64_t p = from; p < to; ++p) product(static_cast<int>(p), v.at, u.at, m.at, count(block));
        });
        share(inner, count(block), [&](int64_t from, int64_t to) {
          for (int64_t t = from; t < to; ++t) output(m.at + t * out_padded, first + t, bias, y);
        });
      }
    };
    if (wide) return some(0, blocks(), workers);
    share(workers, blocks(), [&](int64_t begin, int64_t end) { some(begin, end, {nullptr, 1}); });
  }

  // Sums of (B' x B) * (A g A') over blocks slot, slot + slots, ...
  void gather(const T* x, const T* g, int64_t slot, int64_t slots, T* sums, const Workers& inner) const {
    const Scratch<T> v(POINTS * plane(in_padded)), m(POINTS * plane(out_padded));
    const int64_t size = int64_t(in) * out_padded;
    for (int64_t block = slot; block < blocks(); block += slots) {
      const int64_t first = block * tiles;
      share(inner, count(block), [&](int64_t from, int64_t to) {
        for (int64_t t = from; t < to; ++t) {
          input(x, first + t, v.at + t * in_padded);
          gradient(g, first + t, m.at + t * out_padded);
        }
      });
      share(inner, POINTS, [&](int64_t from, int64_t to) {
        for (int64_t p = from; p < to; ++p)
          for (int o = 0; o < out_padded; o += W)
            multiply<T>(v.at + p * plane(in_padded), 1, in_padded, m.at + p * plane(out_padded) + o, out_padded,
                        sums + p * size + o, out_padded, in, std::min(W, out_padded - o), count(block),
                        block != slot);
      });
    }
  }

  void weight_gradient(const T* x, const T* g, T* gw, const Workers& workers) const {
    const int64_t slots = wide ? 1 : std::min<int64_t>(SLOTS, blocks()), size = int64_t(in) * out_padded;
    const Scratch<T> sums(slots * POINTS * size);
    if (wide)
      gather(x, g, 0, 1, sums.at, workers);
    else
      share(workers, slots, [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; ++slot)
          gather(x, g, slot, slots, sums.at + slot * POINTS * size, {nullptr, 1});
      });
    share(workers, in, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int o = 0; o < out; o += L) {
          Vec<T> d[POINTS], half[18], full[9];
          for (int p = 0; p < POINTS; ++p) {
            d[p] = load(sums.at + p * size + i * out_padded + o, L);
            for (int64_t s = 1; s < slots; ++s) d[p] += load(sums.at + (s * POINTS + p) * size + i * out_padded + o, L);
          }
          for (int j = 0; j < 6; ++j) to_weight<T>(d + j, 6, half + j, 6);
          for (int k = 0; k < 3; ++k) to_weight<T>(half + 6 * k, 1, full + 3 * k, 1);
          for (int k = 0; k < 9; ++k)
            for (int lane = 0; lane < std::min(L, out - o); ++lane)
              gw[((o + lane) * int64_t(in) + i) * 9 + k] = full[k][lane];
        }
    });
  }
};

}  // namespace sm
