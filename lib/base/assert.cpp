#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace tarn::base {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "tarn: internal error: %s does not hold at %s:%d; please report this\n", expression, file, line);
  std::abort();
}

}  // namespace tarn::base
