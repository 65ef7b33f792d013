// allocations.cpp - replaces operator new and delete of the program that it is linked into.
#include "support/allocations.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace tarn::tests {

namespace {

constexpr std::int64_t kNever = -1;
thread_local std::int64_t good_left = kNever;
thread_local bool thrown = false;
thread_local int spared = 0;
std::atomic<std::size_t> held{0};
std::atomic<std::size_t> peak{0};

void* take(std::size_t size) noexcept {
  void* const memory = std::malloc(size == 0 ? 1 : size);  // NOLINT(cppcoreguidelines-no-malloc)
  if (memory == nullptr) return nullptr;
  const std::size_t now = held.fetch_add(::malloc_usable_size(memory)) + ::malloc_usable_size(memory);
  for (std::size_t before = peak.load(); before < now && !peak.compare_exchange_weak(before, now);) continue;
  return memory;
}

void give(void* memory) noexcept {
  if (memory == nullptr) return;
  held.fetch_sub(::malloc_usable_size(memory));
  std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc)
}

}  // namespace

FailingAllocation::FailingAllocation(std::uint64_t good) noexcept {
  good_left = static_cast<std::int64_t>(good);
  thrown = false;
}
FailingAllocation::~FailingAllocation() {
  good_left = kNever;
}
bool FailingAllocation::happened() const noexcept {
  return thrown;
}

SparedAllocations::SparedAllocations() noexcept {
  ++spared;
}
SparedAllocations::~SparedAllocations() {
  --spared;
}

std::size_t allocated_bytes() noexcept {
  return held.load();
}
std::size_t peak_bytes() noexcept {
  return peak.load();
}
void reset_peak() noexcept {
  peak.store(held.load());
}

namespace {

void* take_or_null(std::size_t size) noexcept {
  if (good_left != kNever && spared == 0 && good_left-- == 0) {
    good_left = kNever;
    thrown = true;
    return nullptr;
  }
  return take(size);
}

void* take_or_throw(std::size_t size) {
  if (void* const memory = take_or_null(size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

}  // namespace tarn::tests

void* operator new(std::size_t size) {
  return tarn::tests::take_or_throw(size);
}
void* operator new[](std::size_t size) {
  return tarn::tests::take_or_throw(size);
}
// These too, or a sanitizer's own would meet our operator delete.
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return tarn::tests::take_or_null(size);
}
void* operator new[](std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return tarn::tests::take_or_null(size);
}
void operator delete(void* memory, const std::nothrow_t& /*tag*/) noexcept {
  tarn::tests::give(memory);
}
void operator delete[](void* memory, const std::nothrow_t& /*tag*/) noexcept {
  tarn::tests::give(memory);
}
void operator delete(void* memory) noexcept {
  tarn::tests::give(memory);
}
void operator delete[](void* memory) noexcept {
  tarn::tests::give(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  tarn::tests::give(memory);
}
void operator delete[](void* memory, std::size_t /*size*/) noexcept {
  tarn::tests::give(memory);
}
