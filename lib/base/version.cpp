#include "base/version.hpp"

namespace tarn::base {

std::string_view version() noexcept {
  return TARN_VERSION;
}

}  // namespace tarn::base
