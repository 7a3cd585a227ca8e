// 1 x 1 convolutions of pictures that lie channels last: one matrix product over all samples.
#pragma once

#include "pointwise.h"
#include "products.h"
#include "scratch.h"

namespace sm {

template <class T>
struct Dense {
  static constexpr int L = LANES<T>, W = 2 * L, BLOCK = 96;
  static constexpr int64_t SLOTS = 8;  // partial sums of the weight's gradient
  int64_t samples;  // of all pictures
  int in, out, out_padded, panels;

  Dense(int64_t samples, int in, int out)
      : samples(samples), in(in), out(out), out_padded((out + L - 1) / L * L), panels((out_padded + W - 1) / W) {}
  int64_t blocks() const { return (samples + BLOCK - 1) / BLOCK; }
  int count(int64_t block) const { return static_cast<int>(std::min<int64_t>(BLOCK, samples - block * BLOCK)); }

  // y = clip(leaky(x w' + bias)). w (out, in), or swapped: (in, out).
  void forward(const T* x, const T* w, const T* bias, bool swapped, const Bend<T>* bend, T* y,
               const Workers& workers) const {
    const Scratch<T> u(int64_t(panels) * in * W);
    for (int o = 0; o < panels * W; ++o)
      for (int i = 0; i < in; ++i)
        u.at[(int64_t(o / W) * in + i) * W + o % W] =
            o >= out ? T(0) : w[swapped ? int64_t(i) * out + o : int64_t(o) * in + i];
    const bool whole = out == out_padded;  // registers: results go to their place at once
    share(workers, blocks(), [&](int64_t begin, int64_t end) {
      const Scratch<T> rows(whole ? 1 : BLOCK * out_padded);
      for (int64_t block = begin; block < end; ++block) {
        T *to = y + block * BLOCK * out, *m = whole ? to : rows.at;
        for (int panel = 0; panel < panels; ++panel)
          multiply<T>(x + block * BLOCK * in, in, 1, u.at + int64_t(panel) * in * W, W, m + panel * W, out_padded,
                      count(block), std::min(W, out_padded - panel * W), in, false);
        if (!whole || bias || bend) finish(m, bias, bend, to, count(block));
      }
    });
  }
  void finish(const T* m, const T* bias, const Bend<T>* bend, T* y, int count) const {
    for (int c = 0; c < out; c += L) {
      const int lanes = std::min(L, out - c);
      const Vec<T> b = bias ? load(bias + c, lanes) : Vec<T>{};
      for (int r = 0; r < count; ++r) {
        const Vec<T> v = load(m + int64_t(r) * out_padded + c, L) + b;
        store(y + int64_t(r) * out + c, bend ? (*bend)(v) : v, lanes);
      }
    }
  }

  // gw (out, in) = sum over the samples of g x'
  void weight_gradient(const T* x, const T* g, T* gw, const Workers& workers) const {
    const int64_t slots = std::max<int64_t>(1, std::min(SLOTS, blocks())), size = int64_t(in) * out_padded;
    const Scratch<T> sums(slots * size);
    const bool whole = out == out_padded;
    share(workers, slots, [&](int64_t begin, int64_t end) {
      const Scratch<T> rows(whole ? 1 : BLOCK * out_padded);
      for (int64_t slot = begin; slot < end; ++slot) {
        T* sum = sums.at + slot * size;
        std::fill(sum, sum + size, T(0));
        for (int64_t block = slot; block < blocks(); block += slots) {
          const T *from = g + block * BLOCK * out, *b = whole ? from : rows.at;
          for (int r = 0; !whole && r < count(block); ++r)
            for (int c = 0; c < out; c += L)
              store(rows.at + int64_t(r) * out_padded + c, load(from + int64_t(r) * out + c, std::min(L, out - c)), L);
          for (int o = 0; o < out_padded; o += W)
            multiply<T>(x + block * BLOCK * in, 1, in, b + o, out_padded, sum + o, out_padded, in,
                        std::min(W, out_padded - o), count(block), true);
        }
      }
    });
    for (int first = 0; first < out; first += L)  // a few rows of gw at a time
      for (int i = 0; i < in; ++i)
        for (int o = first; o < std::min(out, first + L); ++o) {
          T total = 0;
          for (int64_t s = 0; s < slots; ++s) total += sums.at[s * size + int64_t(i) * out_padded + o];
          gw[int64_t(o) * in + i] = total;
        }
  }
};

}  // namespace sm
