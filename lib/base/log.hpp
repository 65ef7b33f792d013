// log.hpp - the library's log: one line per event on standard error, prefixed with the rank.
// Level 1 (base). Any thread. Silent below `warn` unless $TARN_LOG says trace, debug, info, warn, error or off.
#pragma once

#include <string_view>

namespace tarn::base {

enum class LogLevel { trace, debug, info, warn, error };

void log(LogLevel level, std::string_view text);
inline void log_debug(std::string_view text) {
  log(LogLevel::debug, text);
}
inline void log_info(std::string_view text) {
  log(LogLevel::info, text);
}
inline void log_warn(std::string_view text) {
  log(LogLevel::warn, text);
}
inline void log_error(std::string_view text) {
  log(LogLevel::error, text);
}

/// For the tops of threads: without the memory that it takes the line is left out.
void log_if_possible(LogLevel level, std::string_view text) noexcept;

/// Shown in each line of this process from now on.
void set_log_rank(int rank);

}  // namespace tarn::base
