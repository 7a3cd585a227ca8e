// Memory for one op's intermediate values, aligned to a register.
#pragma once

#include <cstdint>
#include <new>

namespace sm {

template <class T>
struct Scratch {
  T* at;
  explicit Scratch(int64_t count) : at(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(64)))) {}
  ~Scratch() { ::operator delete(at, std::align_val_t(64)); }
  Scratch(const Scratch&) = delete;
};

}  // namespace sm
