// y = down(clip(leaky(up(x scale + b)))) and, for fixed signs, its masked linear form down(mask up(g)). One block makes a
// tile of one plane; the upsampled samples exist in shared memory only.
#pragma once

#include "resample.h"

namespace sm {

constexpr int PACKED = 16;  // samples per word of the mask, two bits each: 1 positive, 2 clipped

// MASKED: the linear form, which reads the mask; else the mask is written, unless null.
template <class T, class U, class D, bool MASKED>
struct Filtered {
  typedef SumOf<T> A;
  SideShape up, down;
  Grid grid;
  const A *up_coef, *down_coef;
  const T *x, *scale, *b;  // (planes, H, W), (planes,), (channels,); null: 1 and 0
  T* y;
  uint32_t* mask;  // (planes, H', words of a row) of the upsampled picture
  int channels;
  A slope, clamp;

  // Extents of a tile in the upsampled picture and in the input, and where its pieces of shared memory begin.
  struct Extent {
    int up_rows, up_columns, rows, columns, in_pitch, mid_pitch, up_pitch, in, mid, upper, codes;
  };
  SM_BOTH Extent extent() const {
    Extent e;
    e.up_rows = round_up(down.y.span(grid.height) + up.y.phases - 1, up.y.granule());
    e.up_columns = round_up(down.x.span(grid.width) + up.x.phases - 1, up.x.granule());
    e.rows = up.y.span(e.up_rows);
    e.columns = up.x.span(e.up_columns);
    e.in_pitch = e.columns | 1, e.up_pitch = e.up_columns | 1, e.mid_pitch = e.up_pitch;
    const int in = e.rows * e.in_pitch, out = down.pairs > 1 ? grid.height * grid.width : 0;
    const int rising = e.rows * e.mid_pitch, falling = e.up_rows * (grid.width | 1);
    e.in = up.coefficients() + down.coefficients();
    e.mid = e.in + (in > out ? in : out);
    e.upper = e.mid + (rising > falling ? rising : falling);
    e.codes = e.upper + e.up_rows * e.up_pitch;
    return e;
  }
  size_t shared() const {
    const Extent e = extent();
    const size_t codes = !MASKED && mask ? static_cast<size_t>(e.up_rows) * e.up_columns : 0;
    return e.codes * sizeof(A) + (up.starts() + down.starts()) * sizeof(int) + codes;
  }

  SM_DEVICE int words() const { return (up.x.out + PACKED - 1) / PACKED; }

  SM_DEVICE void operator()(int64_t block, void* shared) const {
    const Extent e = extent();
    A* memory = static_cast<A*>(shared);
    int* starts = reinterpret_cast<int*>(memory + e.codes);
    const Taps<A> rise{memory, starts}, fall{memory + up.coefficients(), starts + up.starts()};
    uint8_t* codes = reinterpret_cast<uint8_t*>(starts + up.starts() + down.starts());
    rise.load(up, up_coef);
    fall.load(down, down_coef);
    const int64_t plane = grid.plane(block);
    const int y0 = grid.y(block), x0 = grid.x(block);
    // the upsampled piece begins at a multiple of its phases
    const int top = floor_div(down.y.first(y0), up.y.phases) * up.y.phases;
    const int left = floor_div(down.x.first(x0), up.x.phases) * up.x.phases;
    const A s = scale ? number(scale[plane]) : A(1), bias = b ? number(b[plane % channels]) : A(0);
    fetch(memory + e.in, e.in_pitch, e.rows, e.columns, x + plane * up.y.in * up.x.in, up.y.in, up.x.in, up.y.first(top),
          up.x.first(left), s, bias);
    uint32_t* bits = mask ? mask + plane * up.y.out * words() : nullptr;
    raise(e, rise, memory, codes, bits, top, left);
    if (!MASKED && mask) pack(e, codes, bits, y0, x0, top, left);
    const A* upper = memory + e.upper + (down.y.first(y0) - top) * e.up_pitch + down.x.first(x0) - left;
    T* to = y + plane * down.y.out * down.x.out;
    lower<T, D>(down, grid, fall, upper, e.up_pitch, memory + e.mid, memory + e.in, y0, x0, to);
  }

  // The activated upsampled piece.
  SM_DEVICE void raise(const Extent& e, const Taps<A>& taps, A* memory, uint8_t* codes, uint32_t* bits, int top,
                       int left) const {
    A *in = memory + e.in, *mid = memory + e.mid, *upper = memory + e.upper;
    const int last = up.pairs - 1, height = up.y.out, width = up.x.out, per_row = words();
    const int mid_pitch = e.mid_pitch, up_pitch = e.up_pitch, columns = e.up_columns;
    const A slope = this->slope, clamp = this->clamp;
    const bool remember = !MASKED && mask;
    for (int p = 0; p <= last; ++p) {
      pass<A, U>(up.x, taps.x(up, p), taps.start + up.y.phases, in, 1, e.in_pitch, e.rows, e.up_columns,
                 [=](int row, int o, A v) { mid[row * mid_pitch + o] = v; });
      pass<A, U>(up.y, taps.y(up, p), taps.start, mid, mid_pitch, 1, e.up_columns, e.up_rows,
                 [=](int column, int o, A v) {
                   A& kept = upper[o * up_pitch + column];
                   if (p) v = kept + v;
                   if (p == last) {
                     const int row = top + o, at = left + column;
                     unsigned code = 0;
                     if (row < 0 || row >= height || at < 0 || at >= width) {
                       v = A(0);
                     } else if (MASKED) {
                       code = bits[static_cast<int64_t>(row) * per_row + at / PACKED] >> (2 * (at % PACKED)) & 3;
                       v = code & 2 ? A(0) : code & 1 ? v : v * slope;
                     } else {
                       code = v > A(0);
                       v = code ? v : v * slope;
                       if (v > clamp || v < -clamp) code |= 2, v = v > clamp ? clamp : -clamp;
                     }
                     if (remember) codes[o * columns + column] = static_cast<uint8_t>(code);
                   }
                   kept = v;
                 });
    }
  }

  // Each word of the mask by the one tile that owns it. down has no zero insertion and no padding here.
  SM_DEVICE void pack(const Extent& e, const uint8_t* codes, uint32_t* bits, int y0, int x0, int top, int left) const {
    const bool bottom = y0 + grid.height >= down.y.out, right = x0 + grid.width >= down.x.out;
    const int first = y0 * down.y.step, end = bottom ? up.y.out : first + grid.height * down.y.step;
    const int from = x0 * down.x.step / PACKED;
    const int to = right ? words() : from + grid.width * down.x.step / PACKED;
    const int per_row = words(), number_of = to - from, rows = e.up_rows, columns = e.up_columns, width = up.x.out;
    phase((end - first) * number_of, [=](int i) {
      const int row = first + i / number_of, word = from + i % number_of;
      uint32_t packed = 0;
      for (int k = 0; k < PACKED; ++k) {
        const int o = row - top, column = word * PACKED + k - left;
        const bool made = o < rows && column < columns && word * PACKED + k < width;  // else no output depends on it
        packed |= (made ? static_cast<uint32_t>(codes[o * columns + column]) : 0u) << (2 * k);
      }
      bits[static_cast<int64_t>(row) * per_row + word] = packed;
    });
  }
};

}  // namespace sm
