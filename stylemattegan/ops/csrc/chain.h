// Filtered leaky ReLU and its masked linear form, and plain resampling. Pictures are channels last, (N, H, W, C).
#pragma once

#include <cstring>

#include "blocks.h"
#include "stream.h"

namespace sm {

template <class T>
struct Masks {
  Bits* positive;  // (blocks, H', W') of the upsampled picture; null: not wanted
  Bits* clipped;   // as above; null: not wanted, or nothing was clipped
  T slope, clamp;  // infinity: no clipping

  // y = clip(leaky(x)); remembers the signs and what was clipped, and returns whether anything was.
  bool activate(Vec<T>* row, int width, int64_t at) const {
    Vec<T> largest{};
    for (int i = 0; i < width; ++i) {
      Bits up;
      const Vec<T> y = leaky(row[i], slope, up);
      if (positive) positive[at + i] = up;
      const Vec<T> size = y < Vec<T>{} ? -y : y;
      largest = size > largest ? size : largest;
      row[i] = y;
    }
    Vec<T> limit = splat(clamp);
    const bool any = pack<T>(largest > limit) != 0;  // hardly ever
    if (any)
      clip(row, width, at);
    else if (clipped)
      std::memset(clipped + at, 0, width * sizeof(Bits));
    return any;
  }

  void clip(Vec<T>* row, int width, int64_t at) const {
    const Vec<T> low = splat(-clamp), high = splat(clamp);
    for (int i = 0; i < width; ++i) {
      const Vec<T> y = row[i];
      if (clipped) clipped[at + i] = pack<T>((y > high) | (y < low));
      const Vec<T> below = y > high ? high : y;
      row[i] = below < low ? low : below;
    }
  }

  void multiply(Vec<T>* row, int width, int64_t at) const {
    for (int i = 0; i < width; ++i) {
      Vec<T> v = leaky_by(row[i], slope, positive[at + i]);
      if (clipped) v = unpack<T>(clipped[at + i]) ? Vec<T>{} : v;
      row[i] = v;
    }
  }
};

// Running sums over a plane: per row in registers, over rows in double.
template <class T>
struct PlaneSum {
  double total[LANES<T>] = {};
  void add(Vec<T> row) {
    for (int i = 0; i < LANES<T>; ++i) total[i] += row[i];
  }
  void save(T* to, const Block<T>& block) const {
    for (int i = 0; i < block.lanes; ++i) to[block.sample * block.channels + block.channel + i] = static_cast<T>(total[i]);
  }
};

// Every upsampled row in turn: made from what fetch brings, changed, handed on to finish.
template <class T, class Fetch, class Change, class Finish>
void stream(Source<T>& source, Sink<T>& sink, int rows, Vec<T>* a, Vec<T>* b, Fetch fetch, Change change,
            Finish finish) {
  source.restart();
  sink.restart();
  for (int i = 0; i < rows; i += 2) {
    const bool two = i + 1 < rows;
    source.rows(i, a, two ? b : nullptr, fetch);
    change(i, a);
    sink.push(i, a, finish);
    if (!two) break;
    change(i + 1, b);
    sink.push(i + 1, b, finish);
  }
}

// y = down(clip(leaky(up(x scale + b)))); clips[block] tells whether anything was clipped there.
template <class T>
void filtered_lrelu(const Side<T>& up, const Side<T>& down, const T* x, const T* scale, const T* b, T* y,
                    const Masks<T>& masks, uint8_t* clips, int64_t n, int c, const Workers& workers) {
  const int height = up.y().in_size, width = up.x().in_size, rows = up.y().out_size, inner = up.x().out_size;
  share(workers, Block<T>::count(n, c), [&](int64_t begin, int64_t end) {
    Source<T> source(up);
    Sink<T> sink(down);
    Rows<T> buffer(2, down.margin_before + inner + down.margin_after);
    for (int64_t index = begin; index < end; ++index) {
      const Block<T> block(index, c);
      const Vec<T> s = block.of_plane(scale, 1), bias = block.of_channel(b, 0);
      bool any = false;
      stream<T>(
          source, sink, rows, buffer[0] + down.margin_before, buffer[1] + down.margin_before,
          [&](int i, Vec<T>* row) {
            block.read(row, block.row(x, height, width, i), width, [&](int, Vec<T> v) { return v * s + bias; });
            if (i + 1 < height) block.template expect<false>(block.row(x, height, width, i + 1), width);
          },
          [&](int i, Vec<T>* row) { any |= masks.activate(row, inner, (index * rows + i) * inner); },
          [&](int i, const Vec<T>* row) {
            T* to = block.row(y, down.y().out_size, down.x().out_size, i);
            block.write(to, row, down.x().out_size, [](int, Vec<T> v) { return v; });
            if (i + 1 < down.y().out_size)
              block.template expect<true>(to + static_cast<int64_t>(down.x().out_size) * c, down.x().out_size);
          });
      if (clips) clips[index] = any;
    }
  });
}

// z = down(mask up(g)), the derivative of the above for fixed masks, or with swapped sides its adjoint. With x: also
// the sums over each plane of z and of z x, and out = z scale.
template <class T>
void masked(const Side<T>& up, const Side<T>& down, const T* g, const T* x, const T* scale, T* out, T* sum_z, T* sum_zx,
            const Masks<T>& masks, int64_t n, int c, const Workers& workers) {
  const int height = up.y().in_size, width = up.x().in_size, rows = up.y().out_size, inner = up.x().out_size;
  const int out_height = down.y().out_size, out_width = down.x().out_size;
  share(workers, Block<T>::count(n, c), [&](int64_t begin, int64_t end) {
    Source<T> source(up);
    Sink<T> sink(down);
    Rows<T> buffer(2, down.margin_before + inner + down.margin_after);
    for (int64_t index = begin; index < end; ++index) {
      const Block<T> block(index, c);
      const Vec<T> s = block.of_plane(scale, 1);
      PlaneSum<T> total, total_x;
      stream<T>(
          source, sink, rows, buffer[0] + down.margin_before, buffer[1] + down.margin_before,
          [&](int i, Vec<T>* row) {
            block.read(row, block.row(g, height, width, i), width, [](int, Vec<T> v) { return v; });
            if (i + 1 < height) block.template expect<false>(block.row(g, height, width, i + 1), width);
          },
          [&](int i, Vec<T>* row) { masks.multiply(row, inner, (index * rows + i) * inner); },
          [&](int i, const Vec<T>* row) {
            Vec<T> sum{}, sum_x{};
            const T* from = x ? block.row(x, out_height, out_width, i) : nullptr;
            block.write(block.row(out, out_height, out_width, i), row, out_width, [&](int j, Vec<T> v) {
              if (sum_z) sum += v;
              if (from) sum_x += v * load(from + static_cast<int64_t>(j) * c, block.lanes);
              return v * s;
            });
            if (i + 1 < out_height) {
              block.template expect<true>(block.row(out, out_height, out_width, i + 1), out_width);
              if (from) block.template expect<false>(block.row(x, out_height, out_width, i + 1), out_width);
            }
            total.add(sum);
            total_x.add(sum_x);
          });
      if (sum_z) total.save(sum_z, block);
      if (x) total_x.save(sum_zx, block);
    }
  });
}

// y = one side alone.
template <class T>
void resample(const Side<T>& side, const T* x, T* y, int64_t n, int c, const Workers& workers) {
  const int height = side.y().in_size, width = side.x().in_size;
  share(workers, Block<T>::count(n, c), [&](int64_t begin, int64_t end) {
    Sink<T> sink(side);
    Rows<T> buffer(1, side.margin_before + width + side.margin_after);
    Vec<T>* row = buffer[0] + side.margin_before;
    for (int64_t index = begin; index < end; ++index) {
      const Block<T> block(index, c);
      sink.restart();
      for (int i = 0; i < height; ++i) {
        block.read(row, block.row(x, height, width, i), width, [](int, Vec<T> v) { return v; });
        sink.push(i, row, [&](int o, const Vec<T>* done) {
          T* to = block.row(y, side.y().out_size, side.x().out_size, o);
          block.write(to, done, side.x().out_size, [](int, Vec<T> v) { return v; });
        });
      }
    }
  });
}

}  // namespace sm
