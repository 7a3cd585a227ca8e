// Rows of one block of channels on their way through the filters. Only a few rows exist at a time, so that the
// upsampled picture never leaves the cache: Source makes upsampled rows, Sink turns rows into decimated ones.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "fir.h"

namespace sm {

// Aligned scratch of zeros.
template <class T>
class Rows {
 public:
  Rows(size_t rows, size_t width) : width_(width) {
    void* p = nullptr;
    if (posix_memalign(&p, 64, std::max<size_t>(rows * width, 1) * sizeof(Vec<T>))) throw std::bad_alloc();
    data_.reset(static_cast<Vec<T>*>(p));
    std::fill_n(data_.get(), rows * width, Vec<T>{});
  }
  Vec<T>* operator[](size_t i) { return data_.get() + i * width_; }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  size_t width_;
  std::unique_ptr<Vec<T>[], Free> data_;
};

// The rows of a picture that two outputs of a column of taps need, in a ring; zeros outside of the picture.
template <class T>
class Window {
 public:
  Window(const Axis<T>& axis, int width) : axis_(axis), size_(axis.span()), held_(size_, width), zeros_(1, width), rows_(size_) {}

  Vec<T>* slot(int i) { return held_[i % size_]; }
  const Vec<T>* const* from(int first) {
    for (int k = 0; k < size_; ++k) {
      const int at = first + k;
      rows_[k] = at >= 0 && at < axis_.in_size ? held_[at % size_] : zeros_[0];
    }
    return rows_.data();
  }

 private:
  const Axis<T>& axis_;
  int size_;
  Rows<T> held_, zeros_;
  std::vector<const Vec<T>*> rows_;
};

// The upsampled picture, two rows at a time: down the columns first (fewer samples), then along the row.
template <class T>
class Source {
 public:
  explicit Source(const Side<T>& side)
      : side_(side), window_(side.y(), side.x().in_size),
        filtered_(2, side.margin_before + side.x().in_size + side.margin_after) {}

  void restart() { next_ = 0; }

  // Rows i and, unless out_b is null, i + 1. fetch(k, row) brings input row k.
  template <class Fetch>
  void rows(int i, Vec<T>* out_a, Vec<T>* out_b, Fetch&& fetch) {
    const Axis<T>& y = side_.y();
    const int first = y.first(i), end = y.first(out_b ? i + 1 : i) + y.taps, width = side_.x().in_size;
    for (next_ = std::max(next_, first); next_ < std::min(end, y.in_size); ++next_) fetch(next_, window_.slot(next_));
    const Vec<T>* const* from = window_.from(first);
    Vec<T>*a = filtered_[0] + side_.margin_before, *b = filtered_[1] + side_.margin_before;
    bool add = false;
    for (const auto& pair : side_.pairs) {
      if (out_b) {
        two_columns<T>(pair.y, i, a, b, from, width, false);
        row<T>(pair.x, out_b, b, add);
      } else {
        column<T>(a, from, pair.y.coefficients(i), y.taps, width, false);
      }
      row<T>(pair.x, out_a, a, add);
      add = true;
    }
  }

 private:
  const Side<T>& side_;
  Window<T> window_;
  Rows<T> filtered_;
  int next_ = 0;
};

// Takes rows in order and hands out finished ones, two at a time: along the row first, then down the columns.
template <class T>
class Sink {
 public:
  explicit Sink(const Side<T>& side) : side_(side), done_(2, side.x().out_size) {
    for (const auto& pair : side.pairs) windows_.emplace_back(pair.y, side.x().out_size);
  }

  void restart() { next_ = 0; }

  // row has side.margin_before zeros before it and side.margin_after behind. finish(o, row) gets output row o.
  template <class Finish>
  void push(int i, const Vec<T>* given, Finish&& finish) {
    const Axis<T>& y = side_.y();
    if (next_ >= y.out_size || (i < y.first(next_) && i + 1 < y.in_size)) return;  // nothing reaches back to it
    for (size_t p = 0; p < windows_.size(); ++p) row<T>(side_.pairs[p].x, windows_[p].slot(i), given, false);
    while (next_ < y.out_size) {
      const bool two = next_ + 1 < y.out_size;
      if (std::min(y.first(next_ + two) + y.taps, y.in_size) - 1 > i) return;
      emit(two);
      finish(next_, done_[0]);
      if (two) finish(next_ + 1, done_[1]);
      next_ += 1 + two;
    }
  }

 private:
  void emit(bool two) {
    const Axis<T>& y = side_.y();
    const int width = side_.x().out_size;
    for (size_t p = 0; p < windows_.size(); ++p) {
      const Vec<T>* const* from = windows_[p].from(y.first(next_));
      const Axis<T>& axis = side_.pairs[p].y;
      if (two)
        two_columns<T>(axis, next_, done_[0], done_[1], from, width, p > 0);
      else
        column<T>(done_[0], from, axis.coefficients(next_), y.taps, width, p > 0);
    }
  }

  const Side<T>& side_;
  std::vector<Window<T>> windows_;
  Rows<T> done_;
  int next_ = 0;
};

}  // namespace sm
