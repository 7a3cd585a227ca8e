// Work is cut into blocks of one sample and one register of channels; a block's arithmetic never depends on who does it.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "lanes.h"

namespace sm {

typedef void (*Body)(int64_t begin, int64_t end, void* context);
// Torch's own thread pool, torch_parallel_for of its stable C interface: nonzero on failure.
typedef int32_t (*ParallelFor)(int64_t begin, int64_t end, int64_t grain, Body body, void* context);

struct Workers {
  ParallelFor parallel_for;  // null: threads of our own
  int32_t threads;
};

// body(begin, end) over [0, count); what it throws is thrown here.
template <class F>
void share(const Workers& workers, int64_t count, F body) {
  if (workers.threads <= 1 || count <= 1) return body(0, count);
  struct Context {
    F& body;
    std::exception_ptr failed;
  } context{body, nullptr};
  Body run = [](int64_t begin, int64_t end, void* given) {
    auto& context = *static_cast<Context*>(given);
    try {
      context.body(begin, end);
    } catch (...) {
      context.failed = std::current_exception();
    }
  };
  if (workers.parallel_for) {
    if (workers.parallel_for(0, count, 1, run, &context)) throw std::exception();
  } else {
    const int64_t parts = std::min<int64_t>(workers.threads, count);
    std::vector<std::thread> threads;
    for (int64_t i = 1; i < parts; ++i)
      threads.emplace_back(run, count * i / parts, count * (i + 1) / parts, &context);
    run(0, count / parts, &context);
    for (auto& thread : threads) thread.join();
  }
  if (context.failed) std::rethrow_exception(context.failed);
}

// Where a block lies in channels-last memory.
template <class T>
struct Block {
  int64_t sample;
  int channel, lanes, channels;

  Block(int64_t index, int channels) : channels(channels) {
    const int per_sample = (channels + LANES<T> - 1) / LANES<T>;
    sample = index / per_sample;
    channel = static_cast<int>(index % per_sample) * LANES<T>;
    lanes = std::min(LANES<T>, channels - channel);
  }
  static int64_t count(int64_t samples, int channels) { return samples * ((channels + LANES<T> - 1) / LANES<T>); }

  template <class P>
  P* row(P* plane, int height, int width, int y) const {
    return plane + ((sample * height + y) * width) * channels + channel;
  }
  Vec<T> of_plane(const T* values, T otherwise) const {  // values (N, C)
    return values ? load(values + sample * channels + channel, lanes) : splat(otherwise);
  }
  Vec<T> of_channel(const T* values, T otherwise) const {  // values (C,)
    return values ? load(values + channel, lanes) : splat(otherwise);
  }

  // Rows come and go one by one, much slower than memory could bring them: ask for the next one early.
  template <bool WRITTEN, class P>
  void expect(P* row, int width) const {
    for (int i = 0; i < width; ++i) __builtin_prefetch(row + static_cast<int64_t>(i) * channels, WRITTEN, 3);
  }

  // to[i] = f(i, from[i]) for a row of pictures `from`.
  template <class F>
  void read(Vec<T>* to, const T* from, int width, F f) const {
    if (lanes == LANES<T>)
      for (int i = 0; i < width; ++i) to[i] = f(i, load(from + static_cast<int64_t>(i) * channels, LANES<T>));
    else
      for (int i = 0; i < width; ++i) to[i] = f(i, load(from + static_cast<int64_t>(i) * channels, lanes));
  }
  template <class F>
  void write(T* to, const Vec<T>* from, int width, F f) const {
    if (lanes == LANES<T>)
      for (int i = 0; i < width; ++i) store(to + static_cast<int64_t>(i) * channels, f(i, from[i]), LANES<T>);
    else
      for (int i = 0; i < width; ++i) store(to + static_cast<int64_t>(i) * channels, f(i, from[i]), lanes);
  }
};

}  // namespace sm
