#include "base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdlib>
#include <memory>

namespace tarn::base {

namespace {

std::atomic<int> log_rank{-1};

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("tarn", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    const char* level = std::getenv("TARN_LOG");
    made->set_level(level == nullptr ? spdlog::level::warn : spdlog::level::from_str(level));
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e tarn %l %v");
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

}  // namespace

void set_log_rank(int rank) {
  log_rank.store(rank, std::memory_order_relaxed);
}

void log(LogLevel level, std::string_view text) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::trace, spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                          spdlog::level::err};
  const int rank = log_rank.load(std::memory_order_relaxed);
  const auto spd_level = kLevels[static_cast<int>(level)];
  if (rank >= 0)
    logger().log(spd_level, "[rank {}] {}", rank, text);
  else
    logger().log(spd_level, "{}", text);
}

void log_if_possible(LogLevel level, std::string_view text) noexcept {
  try {
    log(level, text);
  } catch (...) {
  }
}

}  // namespace tarn::base
