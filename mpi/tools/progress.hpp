// progress.hpp - a progress bar on standard error: bytes or steps, rate, time left. Silent when that is not a terminal.
// Level 7 (tools). Any thread may call add(); the line is redrawn by whoever comes after the interval.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace tarn::tools {

/// "1.2 GiB/s" and the like; "-" when no time has passed.
[[nodiscard]] std::string format_rate(std::uint64_t bytes, double seconds);
/// "0.4 s", "0:17", "12:30", "3:05:00"
[[nodiscard]] std::string format_duration(double seconds);

class Progress {
 public:
  enum class Unit : std::uint8_t { bytes, steps };
  /// What a dsort counts in this phase (DsortProgress).
  [[nodiscard]] static Unit unit_of_phase(std::string_view phase) noexcept {
    return phase == "index" || phase == "assemble" ? Unit::bytes : Unit::steps;
  }
  /// @param total  0: not known.
  Progress(std::string label, std::uint64_t total, Unit unit);
  ~Progress();  ///< erases the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(std::uint64_t amount);
  /// For work whose state comes from elsewhere: a new phase, with another label, starts the clock again.
  /// @param unit  of this phase and those behind it; nullopt: as before.
  void set(const std::string& label, std::uint64_t done, std::uint64_t total, std::optional<Unit> unit = std::nullopt);
  [[nodiscard]] double seconds() const;  ///< since the beginning

 private:
  using Clock = std::chrono::steady_clock;
  void draw_if_due();
  void draw();  // with mutex_ held

  const bool visible_;
  const Clock::time_point started_ = Clock::now();
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::int64_t> next_draw_ns_{0};  // since started_
  std::mutex mutex_;                           // guards what follows and the terminal's line
  std::string label_;
  std::uint64_t total_ = 0;
  Unit unit_;
  Clock::time_point phase_started_ = started_;
  bool drawn_ = false;
};

}  // namespace tarn::tools
