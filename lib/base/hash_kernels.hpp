// hash_kernels.hpp - XXH3 compiled for several instruction sets; hash.cpp takes the best that the machine has.
// Level 1 (base). Debian's libxxhash is compiled for the oldest x86-64, where XXH3 runs at less than half its speed, so
// its header is compiled into us instead. The values are the same everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tarn::base {

struct Hash128 {
  std::uint64_t low, high;
};

/// `state` is an XXH3_state_t of the same version of xxHash.
struct HashKernels {
  std::uint64_t (*hash_64)(const void* data, std::size_t size, std::uint64_t seed);
  Hash128 (*hash_128)(const void* data, std::size_t size);
  void (*update_64)(void* state, const void* data, std::size_t size);
  void (*update_128)(void* state, const void* data, std::size_t size);
};

/// What every machine of this architecture can run.
extern const HashKernels kPlainHashKernels;
#ifdef TARN_HASH_AVX2
/// Only for a processor with AVX2.
extern const HashKernels kAvx2HashKernels;
#endif

}  // namespace tarn::base
