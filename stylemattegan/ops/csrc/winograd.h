// 3 x 3 convolutions by Winograd's algorithm (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"),
// with stride 1 (36 products where the definition has 144) or with stride 2 behind a blur (81). Channels last.
//
// y = A' [(G w G') * (B' x B)] A for every tile of 4 x 4 results (schemes.h). The weight's gradient is the transpose of
// the same form: G' [sum over tiles of (B' x B) * (A g A')] G, and so is the input's. Every result is summed in an order
// that the shapes alone decide.
#pragma once

#include "blocks.h"
#include "pointwise.h"
#include "products.h"
#include "schemes.h"
#include "scratch.h"

namespace sm {

constexpr int MATRICES = 36;  // transformed weights
constexpr int SLOTS = 8;      // partial sums of a narrow weight's gradient

// Shapes of one convolution and how it is cut: `tiles` at a time, all points of them at once.
template <class T, template <class> class Scheme>
struct Winograd {
  static constexpr int L = LANES<T>, W = 2 * L;
  static constexpr int AXIS = Scheme<T>::POINTS, POINTS = AXIS * AXIS, WINDOW = Scheme<T>::WINDOW;
  Scheme<T> along_y, along_x;
  int64_t n;
  int height, width, before, in, out;  // of the input; zeros before it; channels
  int out_height, out_width, down, across;
  int in_padded, out_padded;
  int64_t total;  // tiles
  bool wide;      // weights too large for the nearest caches: every piece of work is shared, else whole blocks of tiles
  int tiles;

  Winograd(Scheme<T> along_y, Scheme<T> along_x, int64_t n, int height, int width, int before, int out_height,
           int out_width, int in, int out)
      : along_y(along_y), along_x(along_x), n(n), height(height), width(width), before(before), in(in), out(out),
        out_height(out_height), out_width(out_width) {
    down = (out_height + 3) / 4, across = (out_width + 3) / 4;
    in_padded = padded(in), out_padded = padded(out);
    total = n * down * across;
    wide = int64_t(in) * out * MATRICES * sizeof(T) > (1 << 20);
    const int most = AXIS > 6 ? (wide ? 96 : 24) : !wide ? 48 : int64_t(in) * out < (1 << 17) ? 96 : 192;
    tiles = static_cast<int>(std::min<int64_t>(most, total));
  }
  static int padded(int channels) { return (channels + L - 1) / L * L; }
  static int panels(int channels) { return (padded(channels) + W - 1) / W; }
  static int matrix(int p) { return std::min(p / AXIS, 5) * 6 + std::min(p % AXIS, 5); }
  int64_t blocks() const { return (total + tiles - 1) / tiles; }
  int count(int64_t block) const { return static_cast<int>(std::min<int64_t>(tiles, total - block * tiles)); }
  // one register more than needed: else all points of a tile fall on the same lines of the cache
  int64_t plane(int padded) const { return int64_t(tiles) * padded + L; }

  struct Place {
    int64_t sample;
    int y, x;
  };
  Place place(int64_t t) const {
    const int within = static_cast<int>(t % (down * across));
    return {t / (down * across), within / across, within % across};
  }

  // What a transform along one axis reads: samples that lie `step` registers apart; and where it writes.
  struct From {
    const Vec<T>* at;
    int64_t step;
    SM_INLINE Vec<T> operator()(int k) const { return at[k * step]; }
  };
  struct To {
    Vec<T>* at;
    int64_t step;
    SM_INLINE void operator()(int k, Vec<T> v) const { at[k * step] = v; }
  };
  From from_plane(const T* planes, int p, int padded, int c, int step) const {
    return {reinterpret_cast<const Vec<T>*>(planes + p * plane(padded) + c), step * plane(padded) / L};
  }

  // The window of SIZE x SIZE samples from (y0, x0) on of a picture of `rows` x `columns`, transformed along y by fy,
  // along x by fx, and spread over the planes of `to`.
  template <int SIZE, class Y, class X>
  void spread(const T* x, int64_t sample, int rows, int columns, int channels, int y0, int x0, T* to, Y fy, X fx) const {
    const bool inside = y0 >= 0 && x0 >= 0 && y0 + SIZE <= rows && x0 + SIZE <= columns;
    const int64_t row = int64_t(columns) * channels, next = plane(padded(channels)) / L;
    for (int c = 0; c < channels; c += L) {
      const int lanes = std::min(L, channels - c);
      const T* from = x + ((sample * rows + y0) * columns + x0) * channels + c;
      Vec<T> half[AXIS * SIZE];
      for (int j = 0; j < SIZE; ++j) {
        const T* column = from + int64_t(j) * channels;
        const To down{half + j, SIZE};
        if (inside && lanes == L)
          fy([=](int i) { return load(column + i * row, L); }, down);
        else if (inside)
          fy([=](int i) { return load(column + i * row, lanes); }, down);
        else if (x0 + j < 0 || x0 + j >= columns)
          fy([](int) { return Vec<T>{}; }, down);
        else
          fy([=](int i) { return y0 + i >= 0 && y0 + i < rows ? load(column + i * row, lanes) : Vec<T>{}; }, down);
      }
      for (int i = 0; i < AXIS; ++i)
        fx(From{half + i * SIZE, 1}, To{reinterpret_cast<Vec<T>*>(to + c) + i * AXIS * next, next});
    }
  }
  void input(const T* x, int64_t t, T* to) const {
    const Place at = place(t);
    spread<WINDOW>(
        x, at.sample, height, width, in, at.y * Scheme<T>::STEP - before, at.x * Scheme<T>::STEP - before, to,
        [&](auto d, auto v) SM_HERE { along_y.of_input(d, v); }, [&](auto d, auto v) SM_HERE { along_x.of_input(d, v); });
  }
  void gradient(const T* g, int64_t t, T* to) const {
    const Place at = place(t);
    const auto f = [](auto d, auto v) SM_HERE { Scheme<T>::of_gradient(d, v); };
    spread<4>(g, at.sample, out_height, out_width, out, at.y * 4, at.x * 4, to, f, f);
  }

  void output(const T* products, int64_t t, const T* bias, const Bend<T>& bend, T* y) const {
    const Place at = place(t);
    const int y0 = at.y * 4, x0 = at.x * 4, rows = std::min(4, out_height - y0), columns = std::min(4, out_width - x0);
    for (int c = 0; c < out; c += L) {
      const int lanes = std::min(L, out - c);
      Vec<T> half[4 * AXIS], full[16];
      for (int j = 0; j < AXIS; ++j)
        Scheme<T>::to_output(from_plane(products, j, out_padded, c, AXIS), To{half + j, AXIS});
      for (int i = 0; i < 4; ++i) Scheme<T>::to_output(From{half + AXIS * i, 1}, To{full + 4 * i, 1});
      const Vec<T> b = bias ? load(bias + c, lanes) : Vec<T>{};
      for (int i = 0; i < rows; ++i)
        for (int j = 0; j < columns; ++j)
          store(y + ((at.sample * out_height + y0 + i) * out_width + x0 + j) * out + c, bend(full[4 * i + j] + b), lanes);
    }
  }

  // The window of tile t, one register of channels from c on, added to gx, which has `channels` of them.
  void scatter(const T* products, int64_t t, int c, int channels, T* gx) const {
    const Place at = place(t);
    const int y0 = at.y * Scheme<T>::STEP - before, x0 = at.x * Scheme<T>::STEP - before, lanes = std::min(L, channels - c);
    Vec<T> half[WINDOW * AXIS];
    for (int j = 0; j < AXIS; ++j) along_y.to_input(from_plane(products, j, in_padded, c, AXIS), To{half + j, AXIS});
    const int first = std::max(0, -x0), last = std::min(WINDOW, width - x0);
    for (int i = std::max(0, -y0); i < std::min(WINDOW, height - y0); ++i) {
      T* to = gx + ((at.sample * height + y0 + i) * width + x0) * channels + c;
      const auto add = [=](int j, Vec<T> v, int lanes) SM_HERE {
        T* each = to + int64_t(j) * channels;
        store(each, load(each, lanes) + v, lanes);
      };
      const From from{half + AXIS * i, 1};
      if (first == 0 && last == WINDOW && lanes == L)
        along_x.to_input(from, [=](int j, Vec<T> v) { add(j, v, L); });
      else
        along_x.to_input(from, [=](int j, Vec<T> v) {
          if (j >= first && j < last) add(j, v, lanes);
        });
    }
  }

  // Transformed weights of a panel of columns, from `rows` channels to `columns`. w (columns, rows, 3, 3), or swapped:
  // (rows, columns, 3, 3). turned: by half a turn.
  static void weights(const T* w, bool swapped, bool turned, int rows, int columns, int panel, T* u) {
    const int first = panel * W, last = std::min(columns, first + W);
    for (int i = 0; i < rows; ++i) {
      T taps[9][W] = {};
      for (int o = first; o < last; ++o) {
        const T* from = w + (swapped ? int64_t(i) * columns + o : int64_t(o) * rows + i) * 9;
        for (int k = 0; k < 9; ++k) taps[k][o - first] = from[turned ? 8 - k : k];
      }
      for (int part = 0; part < W; part += L) {
        Vec<T> d[9], half[18], full[MATRICES];
        for (int k = 0; k < 9; ++k) d[k] = load(taps[k] + part, L);
        for (int j = 0; j < 3; ++j) Scheme<T>::of_weight(From{d + j, 3}, To{half + j, 3});
        for (int k = 0; k < 6; ++k) Scheme<T>::of_weight(From{half + 3 * k, 1}, To{full + 6 * k, 1});
        for (int q = 0; q < MATRICES; ++q)
          store(u + ((int64_t(q) * panels(columns) + panel) * rows + i) * W + part, full[q], L);
      }
    }
  }

  // m = v u at one point, for `count` tiles.
  void product(int p, const T* v, int rows, const T* u, T* m, int columns, int count) const {
    for (int panel = 0; panel < panels(columns); ++panel)
      multiply<T>(v + p * plane(padded(rows)), padded(rows), 1,
                  u + (int64_t(matrix(p)) * panels(columns) + panel) * rows * W, W,
                  m + p * plane(padded(columns)) + panel * W, padded(columns), count,
                  std::min(W, padded(columns) - panel * W), rows, false);
  }

  // swapped: w is (in, out, 3, 3), turned by half a turn, as the input's gradient with stride 1 wants it.
  void forward(const T* x, const T* w, const T* bias, bool swapped, const Bend<T>& bend, T* y,
               const Workers& workers) const {
    const Scratch<T> u(int64_t(MATRICES) * panels(out) * in * W);
    share(workers, panels(out), [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel)
        weights(w, swapped, swapped, in, out, static_cast<int>(panel), u.at);
    });
    const auto some = [&](int64_t begin, int64_t end, const Workers& inner) {
      const Scratch<T> v(POINTS * plane(in_padded)), m(POINTS * plane(out_padded));
      for (int64_t block = begin; block < end; ++block) {
        const int64_t first = block * tiles;
        share(inner, count(block), [&](int64_t from, int64_t to) {
          for (int64_t t = from; t < to; ++t) input(x, first + t, v.at + t * in_padded);
        });
        share(inner, POINTS, [&](int64_t from, int64_t to) {
          for (int64_t p = from; p < to; ++p)
            product(static_cast<int>(p), v.at, in, u.at, m.at, out, count(block));
        });
        share(inner, count(block), [&](int64_t from, int64_t to) {
          for (int64_t t = from; t < to; ++t) output(m.at + t * out_padded, first + t, bias, bend, y);
        });
      }
    };
    if (wide) return some(0, blocks(), workers);
    share(workers, blocks(), [&](int64_t begin, int64_t end) { some(begin, end, {nullptr, 1}); });
  }

  // The input's gradient along g, as the transpose of `forward`: windows overlap, so those of a picture are added in
  // turn.
  void backward(const T* g, const T* w, T* gx, const Workers& workers) const {
    const Scratch<T> u(int64_t(MATRICES) * panels(in) * out * W);
    share(workers, panels(in), [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) weights(w, true, false, out, in, static_cast<int>(panel), u.at);
    });
    const int64_t each = down * across, area = int64_t(height) * width;
    const auto some = [&](int64_t begin, int64_t end, const Workers& inner) {  // pictures
      // where channels fill no register, samples are added up in memory where they do
      const int channels = in_padded;
      const Scratch<T> sums(in == in_padded ? 1 : (end - begin) * area * channels);
      T* const to = (in == in_padded ? gx : sums.at - begin * area * channels);
      const Scratch<T> v(POINTS * plane(out_padded)), m(POINTS * plane(in_padded));
      share(inner, end - begin, [&](int64_t from, int64_t until) {
        std::fill(to + (begin + from) * area * channels, to + (begin + until) * area * channels, T(0));
      });
      for (int64_t first = begin * each; first < end * each; first += tiles) {
        const int here = static_cast<int>(std::min<int64_t>(tiles, end * each - first));
        share(inner, here, [&](int64_t from, int64_t until) {
          for (int64_t t = from; t < until; ++t) gradient(g, first + t, v.at + t * out_padded);
        });
        share(inner, POINTS, [&](int64_t from, int64_t until) {
          for (int64_t p = from; p < until; ++p) product(static_cast<int>(p), v.at, out, u.at, m.at, in, here);
        });
        share(inner, in_padded / L, [&](int64_t from, int64_t until) {
          for (int64_t c = from; c < until; ++c)
            for (int t = 0; t < here; ++t)
              scatter(m.at + int64_t(t) * in_padded, first + t, static_cast<int>(c) * L, channels, to);
        });
      }
      if (in < in_padded)
        for (int64_t i = begin * area; i < end * area; ++i)
          for (int c = 0; c < in; c += L)
            store(gx + i * in + c, load(to + i * channels + c, L), std::min(L, in - c));
    };
    if (wide) return some(0, n, workers);
    share(workers, n, [&](int64_t begin, int64_t end) {
      for (int64_t picture = begin; picture < end; ++picture) some(picture, picture + 1, {nullptr, 1});
    });
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
      share(inner, MATRICES, [&](int64_t from, int64_t to) {
        for (int64_t q = from; q < to; ++q)
          for (int o = 0; o < out_padded; o += W) {
            bool add = block != slot;
            each_point(static_cast<int>(q), [&](int p) {
              multiply<T>(v.at + p * plane(in_padded), 1, in_padded, m.at + p * plane(out_padded) + o, out_padded,
                          sums + q * size + o, out_padded, in, std::min(W, out_padded - o), count(block), add);
              add = true;
            });
          }
      });
    }
  }
  // f(p) for the points whose products take these weights.
  template <class F>
  static void each_point(int matrix, F f) {
    const int y = matrix / 6, x = matrix % 6;
    for (int i = Scheme<T>::first_point(y); i < Scheme<T>::first_point(y + 1); ++i)
      for (int j = Scheme<T>::first_point(x); j < Scheme<T>::first_point(x + 1); ++j) f(i * AXIS + j);
  }

  void weight_gradient(const T* x, const T* g, T* gw, const Workers& workers) const {
    const int64_t slots = wide ? 1 : std::min<int64_t>(SLOTS, blocks()), size = int64_t(in) * out_padded;
    const Scratch<T> sums(slots * MATRICES * size);
    if (wide)
      gather(x, g, 0, 1, sums.at, workers);
    else
      share(workers, slots, [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; ++slot)
          gather(x, g, slot, slots, sums.at + slot * MATRICES * size, {nullptr, 1});
      });
    share(workers, in, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t o = 0; o < out; o += L) {
          Vec<T> d[MATRICES], half[18], full[9];
          for (int q = 0; q < MATRICES; ++q) {
            d[q] = load(sums.at + q * size + i * out_padded + o, L);
            for (int64_t s = 1; s < slots; ++s)
              d[q] += load(sums.at + (s * MATRICES + q) * size + i * out_padded + o, L);
          }
          for (int j = 0; j < 6; ++j) Scheme<T>::to_weight(From{d + j, 6}, To{half + j, 6});
          for (int k = 0; k < 3; ++k) Scheme<T>::to_weight(From{half + 6 * k, 1}, To{full + 3 * k, 1});
          for (int k = 0; k < 9; ++k)
            for (int lane = 0; lane < std::min<int64_t>(L, out - o); ++lane)
              gw[((o + lane) * int64_t(in) + i) * 9 + k] = full[k][lane];
        }
    });
  }
};

}  // namespace sm
