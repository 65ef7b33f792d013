// host.hpp - the machine that this process runs on.
// Level 1 (base). Any thread.
#pragma once

#include <string>

namespace tarn::base {

/// Its name as gethostname(2) has it; "localhost" when it has none.
[[nodiscard]] std::string host_name();

}  // namespace tarn::base
