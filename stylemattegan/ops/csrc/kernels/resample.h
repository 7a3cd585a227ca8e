// One side alone: zero insertion, padding, FIR, decimation. A block makes one tile of one plane; planes are (H, W).
#pragma once

#include "polyphase.h"

namespace sm {

// Where a block's tile lies.
struct Grid {
  int height, width;      // of a tile
  int tiles_y, tiles_x;   // per plane
  SM_DEVICE int y(int64_t block) const { return static_cast<int>(block / tiles_x % tiles_y) * height; }
  SM_DEVICE int x(int64_t block) const { return static_cast<int>(block % tiles_x) * width; }
  SM_DEVICE int64_t plane(int64_t block) const { return block / (static_cast<int64_t>(tiles_y) * tiles_x); }
};

inline Grid grid_of(const SideShape& side, int height, int width) {
  return {height, width, (side.y.out + height - 1) / height, (side.x.out + width - 1) / width};
}

// Reads a piece of a plane into shared memory, zeros outside: value scale + bias.
template <class T, class A>
SM_DEVICE void fetch(A* to, int pitch, int rows, int columns, const T* plane, int height, int width, int y0, int x0,
                     A scale, A bias) {
  phase(rows * columns, [=](int i) {
    const int row = i / columns, column = i % columns, y = y0 + row, x = x0 + column;
    const bool inside = y >= 0 && y < height && x >= 0 && x < width;
    to[row * pitch + column] = inside ? number(plane[static_cast<int64_t>(y) * width + x]) * scale + bias : A(0);
  });
}

// Filters a tile from shared memory into a plane. from: where the first window of the tile's first row begins; mid: room
// for the rows filtered along x, grid.width | 1 apart; out: a tile's sums, used if the filter is a sum of several pairs.
template <class T, class K, class A>
SM_DEVICE void lower(const SideShape& side, const Grid& grid, const Taps<A>& taps, const A* from, int pitch, A* mid,
                     A* out, int y0, int x0, T* to) {
  const int last = side.pairs - 1, height = side.y.out, width = side.x.out, across = grid.width;
  const int mid_pitch = across | 1, rows = side.y.span(grid.height);
  for (int p = 0; p <= last; ++p) {
    pass<A, K>(side.x, taps.x(side, p), taps.start + side.y.phases, from, 1, pitch, rows, grid.width,
               [=](int row, int o, A v) { mid[row * mid_pitch + o] = v; });
    pass<A, K>(side.y, taps.y(side, p), taps.start, mid, mid_pitch, 1, grid.width, grid.height,
               [=](int column, int o, A v) {
                 if (last) {
                   A& sum = out[o * across + column];
                   v = sum = p ? sum + v : v;
                 }
                 if (p == last && y0 + o < height && x0 + column < width)
                   to[static_cast<int64_t>(y0 + o) * width + x0 + column] = stored<T>(v);
               });
  }
}

template <class T, class K>
struct Resample {
  typedef SumOf<T> A;
  SideShape side;
  Grid grid;
  const A* coef;
  const T* x;
  T* y;

  int rows() const { return side.y.span(grid.height); }
  int columns() const { return side.x.span(grid.width); }
  size_t shared() const {
    const size_t in = static_cast<size_t>(rows()) * (columns() | 1), mid = static_cast<size_t>(rows()) * (grid.width | 1);
    const size_t out = side.pairs > 1 ? static_cast<size_t>(grid.height) * grid.width : 0;
    return (side.coefficients() + in + mid + out) * sizeof(A) + side.starts() * sizeof(int);
  }

  SM_DEVICE void operator()(int64_t block, void* shared) const {
    const int y0 = grid.y(block), x0 = grid.x(block), rows = side.y.span(grid.height), columns = side.x.span(grid.width);
    const int in_pitch = columns | 1;
    A* coefficients = static_cast<A*>(shared);
    A *in = coefficients + side.coefficients(), *mid = in + rows * in_pitch, *out = mid + rows * (grid.width | 1);
    const Taps<A> taps{coefficients, reinterpret_cast<int*>(out + (side.pairs > 1 ? grid.height * grid.width : 0))};
    taps.load(side, coef);
    const int64_t plane = grid.plane(block), area = static_cast<int64_t>(side.y.in) * side.x.in;
    fetch(in, in_pitch, rows, columns, x + plane * area, side.y.in, side.x.in, side.y.first(y0), side.x.first(x0), A(1),
          A(0));
    lower<T, K>(side, grid, taps, in, in_pitch, mid, out, y0, x0, y + plane * side.y.out * side.x.out);
  }
};

}  // namespace sm
