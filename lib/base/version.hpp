// version.hpp - the version of this library, as CMake's project() states it.
// Level 1 (base). Pure.
#pragma once

#include <string_view>

namespace tarn::base {

/// "0.1.0"
[[nodiscard]] std::string_view version() noexcept;

}  // namespace tarn::base
