#include "mpi/tools/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/text.hpp"

namespace tarn::tools {

namespace {

constexpr std::chrono::nanoseconds kRedrawInterval = std::chrono::milliseconds(100);
constexpr std::size_t kBarWidth = 24;

bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && (kind == nullptr || std::string_view(kind) != "dumb");
}

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string format_rate(std::uint64_t bytes, double seconds) {
  if (!(seconds > 0)) return "-";
  return base::format_size(static_cast<std::uint64_t>(static_cast<double>(bytes) / seconds)) + "/s";
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<long>(std::max(0.0, seconds) + 0.5);
  char text[40];
  if (seconds < 10)
    std::snprintf(text, sizeof text, "%.1f s", std::max(0.0, seconds));
  else if (whole >= 3600)
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

Progress::Progress(std::string label, std::uint64_t total, Unit unit)
    : visible_(is_terminal()), label_(std::move(label)), total_(total), unit_(unit) {}

Progress::~Progress() {
  const std::lock_guard lock(mutex_);
  if (drawn_) std::fputs("\r\033[K", stderr);
}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - started_).count();
}

void Progress::add(std::uint64_t amount) {
  done_.fetch_add(amount, std::memory_order_relaxed);
  if (visible_) draw_if_due();
}

void Progress::set(const std::string& label, std::uint64_t done, std::uint64_t total, std::optional<Unit> unit) {
  done_.store(done, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    if (label != label_) phase_started_ = Clock::now();
    label_ = label;
    total_ = total;
    unit_ = unit.value_or(unit_);
  }
  if (visible_) draw_if_due();
}

void Progress::draw_if_due() {
  const std::int64_t now_ns = std::chrono::nanoseconds(Clock::now() - started_).count();
  std::int64_t due_ns = next_draw_ns_.load(std::memory_order_relaxed);
  if (now_ns < due_ns || !next_draw_ns_.compare_exchange_strong(due_ns, now_ns + kRedrawInterval.count())) return;
  const std::lock_guard lock(mutex_);
  draw();
}

void Progress::draw() {
  const std::uint64_t done = done_.load(std::memory_order_relaxed);
  const double elapsed = std::chrono::duration<double>(Clock::now() - phase_started_).count();
  const auto amount = [&](std::uint64_t value) { return unit_ == Unit::bytes ? base::format_size(value) : std::to_string(value); };
  std::string line = label_ + " ";
  if (total_ > 0) {
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    const auto filled = static_cast<std::size_t>(part * kBarWidth);
    char percent[8];
    std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(part * 100));
    line += "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] " + percent + "  " + amount(done) + " of " + amount(total_);
    if (done > 0 && done < total_) line += "  " + format_duration(elapsed * (1 - part) / part) + " left";
  } else {
    line += amount(done);
  }
  if (unit_ == Unit::bytes) line += "  " + format_rate(done, elapsed);
  line.resize(std::min(line.size(), terminal_columns() - 1));
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace tarn::tools
