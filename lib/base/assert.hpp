// assert.hpp - TARN_ASSERT: for our own bugs, in every build; never for input.
// Level 1 (base).
#pragma once

namespace tarn::base {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;
}

#define TARN_ASSERT(condition) ((condition) ? static_cast<void>(0) : ::tarn::base::assertion_failed(#condition, __FILE__, __LINE__))
