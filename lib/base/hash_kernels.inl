// hash_kernels.inl - the functions of HashKernels, for the instruction set that the including file is compiled for.
// Only C headers here: an inline function of the standard library compiled for AVX2 could be linked into code that must
// run without it.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash_kernels.hpp"

namespace tarn::base {

namespace {

std::uint64_t hash_64(const void* data, std::size_t size, std::uint64_t seed) {
  return XXH3_64bits_withSeed(data, size, seed);
}

Hash128 hash_128(const void* data, std::size_t size) {
  const XXH128_hash_t hash = XXH3_128bits(data, size);
  return {hash.low64, hash.high64};
}

void update_64(void* state, const void* data, std::size_t size) {
  XXH3_64bits_update(static_cast<XXH3_state_t*>(state), data, size);
}

void update_128(void* state, const void* data, std::size_t size) {
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state), data, size);
}

}  // namespace

}  // namespace tarn::base
